# The gateway (and, with the same image, the simulated site).
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements-uv.txt requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/hutong \
    && /opt/hutong/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements-uv.txt \
    && VIRTUAL_ENV=/opt/hutong /opt/hutong/bin/uv pip install --no-cache --require-hashes -r requirements.lock
COPY edge edge
COPY cloud cloud
COPY devices devices
COPY protocols protocols
COPY firmware-configs firmware-configs
RUN VIRTUAL_ENV=/opt/hutong /opt/hutong/bin/uv pip install --no-cache --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /var/lib/hutong hutong
COPY --from=build /opt/hutong /opt/hutong
COPY docker/gateway.yaml /etc/hutong/gateway.yaml
COPY firmware-configs/demo /etc/hutong/demo
ENV PATH=/opt/hutong/bin:$PATH HUTONG_DATA_DIR=/var/lib/hutong HUTONG_LOG_FORMAT=json PYTHONUNBUFFERED=1
USER 10001
VOLUME /var/lib/hutong
ENTRYPOINT ["hutong-edge"]
CMD ["run", "--config", "/etc/hutong/gateway.yaml"]
