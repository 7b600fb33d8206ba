"""The real servers of a simulated site, one per bus."""

from pathlib import Path

from devices.driver import Clock
from devices.simulated.rtu_server import RtuServer
from devices.simulated.site import Site
from devices.simulated.site_file import SiteTcpBus
from devices.simulated.tcp_server import TcpServer


def servers_of(
    site: Site, clock: Clock, *, tcp_port: int | None = None, pty: Path | None = None
) -> dict[str, TcpServer | RtuServer]:
    """A server per bus id, not yet started; port and pty replace those of the first such bus."""
    servers: dict[str, TcpServer | RtuServer] = {}
    for bus in site.file.buses:
        meters, faults = site.on_bus(bus.id), site.bus_faults(bus.id)
        if isinstance(bus, SiteTcpBus):
            port, tcp_port = (bus.port if tcp_port is None else tcp_port), None
            servers[bus.id] = TcpServer(meters, clock, host=bus.host, port=port, faults=faults)
        else:
            path, pty = pty or Path(bus.path), None
            servers[bus.id] = RtuServer(meters, clock, path=path, wire=bus.wire, faults=faults)
    return servers


def endpoints(
    servers: dict[str, TcpServer | RtuServer],
) -> dict[str, dict[str, str | int]]:
    """Where each started server is reached, in the words of a gateway file's buses."""
    return {
        bus_id: {"kind": "modbus-tcp", "host": server.host, "port": server.port}
        if isinstance(server, TcpServer)
        else {"kind": "modbus-rtu", "port": str(server.path)}
        for bus_id, server in servers.items()
    }
