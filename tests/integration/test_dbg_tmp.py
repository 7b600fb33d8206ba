import asyncio, time, faulthandler
import pytest
from tests.integration.test_uplink import *
from cloud.ingest import worker as w

@pytest.mark.usefixtures("quick")
async def test_dbg(sqlite_engine, open_journal, mosquitto):
    add_site(sqlite_engine, "gw-1")
    journal = open_journal()
    fill_both(journal, 300)
    orig = IngestWorker._commit
    def commit(self, group):
        t=time.perf_counter()
        o = orig(self, group)
        print("commit", len(group), dict(o.counts), round(time.perf_counter()-t,3), [(type(a).__name__, a.lane, getattr(a,'through',None)) for _,a in o.answers])
        return o
    IngestWorker._commit = commit
    osend = Uplink._act
    async def act(self, client, lane, effects):
        t=time.perf_counter()
        await osend(self, client, lane, effects)
        if effects: print("act", lane, effects[:1], len(effects), round(time.perf_counter()-t,3))
    Uplink._act = act
    t=time.perf_counter()
    async with running(journal, sqlite_engine, mosquitto.url) as uplink:
        for i in range(100):
            await asyncio.sleep(0.1)
            if uplink.backlog()==0: break
        print("T", time.perf_counter()-t, uplink._states)
        for task in asyncio.all_tasks():
            print(task.get_name()); task.print_stack(limit=2)
    assert 0
