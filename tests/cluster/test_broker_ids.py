"""broker.id=-1: the id comes from the log directories, else out of ZooKeeper, and is kept. What a start leaves on record."""
import json
import re
import shutil
import subprocess
import uuid

import pytest

from tests.kit.cluster import ROOT, wait_until
from tests.kit.zk import Zk, ZkError

pytestmark = pytest.mark.moldau_only


class House:
    """A cluster of its own below a path of the shared ZooKeeper, without controllers; brokers one at a time."""

    def __init__(self, cluster, tmp_path):
        self.cluster, self.tmp = cluster, tmp_path
        self.address = cluster.status()["zookeeper"]
        self.root = f"/ids-{uuid.uuid4().hex[:8]}"
        host, port = re.match(r"([^:,/]+):(\d+)", self.address).groups()
        self.zk_address = host, int(port)
        self.zk = Zk(*self.zk_address)

    def start(self, dirs, **settings):
        conf = self.tmp / "server.properties"
        values = {"listeners": f"PLAINTEXT://127.0.0.1:{self.cluster.ports.base + 40}",
                  "log.dirs": ",".join(str(self.tmp / d) for d in dirs.split(",")),
                  "zookeeper.connect": self.address.split("/")[0] + self.root}
        values.update({k.replace("_", "."): v for k, v in settings.items()})
        conf.write_text("".join(f"{k}={v}\n" for k, v in values.items()))
        flavour = self.cluster.flavour
        program = ROOT / "build" / (f"{flavour}/bin" if flavour and flavour != "plain" else "bin") / "moldau-broker"
        with open(self.tmp / "log", "wb") as log:
            return subprocess.Popen([program, conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def registered(self):
        try:
            return [int(b) for b in self.zk.children(f"{self.root}/brokers/ids")]
        except ZkError:
            return []

    def log(self):
        return (self.tmp / "log").read_text()

    def id_of(self, dirs, **settings):
        """Starts a broker, sees it registered, stops it."""
        process = self.start(dirs, **settings)
        try:
            def there():
                assert process.poll() is None, self.log()
                return self.registered()
            found, = wait_until(there, 30, "a registration")
        finally:
            process.terminate()
            process.wait(30)
        for d in dirs.split(","):
            assert f"broker.id={found}\n" in (self.tmp / d / "meta.properties").read_text()
        return found

    def refusal(self, dirs, **settings):
        process = self.start(dirs, **settings)
        try:
            assert process.wait(30) != 0
        finally:
            process.kill()
            process.wait()
        assert not self.registered()
        return self.log()


@pytest.fixture
def house(whole, tmp_path):
    h = House(whole, tmp_path)
    yield h
    h.zk.close()


def test_ids_are_made_once_and_kept(house):
    assert house.id_of("a") == 1001
    assert house.id_of("b,c") == 1002
    assert house.id_of("a") == 1001, "a stored id wins"
    assert house.id_of("c,new") == 1002, "also for a directory that is added"
    assert house.id_of("d", broker_id="7") == 7
    assert house.id_of("d") == 7
    assert house.id_of("e", reserved_broker_max_id="50") == 53, "the number goes on"
    assert house.id_of("e", broker_id_generation_enable="true") == 53


def test_ids_that_cannot_be_are_refused(house):
    assert house.id_of("a") == 1001
    assert house.id_of("b") == 1002
    assert "another broker" in house.refusal("a", broker_id="5")
    assert "another broker" in house.refusal("a,b"), "two directories, two ids"
    assert "reserved.broker.max.id" in house.refusal("c", broker_id="1003")
    assert "broker.id" in house.refusal("c", broker_id_generation_enable="false")
    assert house.id_of("a") == 1001, "nothing was spoilt"


def test_a_session_is_on_record_before_it_owns_a_registration(house):
    """Else a process that dies right after registering leaves a node that its successor can only wait for."""
    house.id_of("a", broker_id="7")
    with Zk(*house.zk_address, 6000) as other:      # of whom nobody answers
        other.create(f"{house.root}/brokers/ids/7", b'{"version":5,"endpoints":[]}', ephemeral=True)
        process = house.start("a", broker_id="7")
        try:
            wait_until(lambda: "another session has registered our id" in house.log(), 30, "it is not let in")
        finally:
            process.kill()
            process.wait()
    session, = re.findall(r"ZooKeeper connected session=0x([0-9a-f]+)", house.log())
    on_record = (house.tmp / "a" / "moldau.session").read_bytes()[:8]
    assert int.from_bytes(on_record, "little") == int(session, 16)


def test_a_copy_of_a_running_brokers_directory_does_not_put_it_out(house):
    """It has the running one's session on record, and would serve old records under its id."""
    original = house.start("a", broker_id="7")
    copied = None
    try:
        wait_until(house.registered, 30, "a registration")
        shutil.copytree(house.tmp / "a", house.tmp / "b")
        registered = house.zk.get(f"{house.root}/brokers/ids/7")
        copied = house.start("b", broker_id="7", listeners=f"PLAINTEXT://127.0.0.1:{house.cluster.ports.base + 41}")
        assert copied.wait(30) != 0
        assert "answers on its endpoint" in house.log()
        assert original.poll() is None
        assert house.zk.get(f"{house.root}/brokers/ids/7") == registered
    finally:
        for process in filter(None, [original, copied]):
            process.kill()
            process.wait()


def test_a_registration_says_which_listener_brokers_use(house):
    """Kafka reads past that; our controllers ask there whether a broker is alive."""
    ports = [house.cluster.ports.base + 40, house.cluster.ports.base + 41]
    process = house.start("a", broker_id="7", listeners=f"OUTER://127.0.0.1:{ports[0]},INNER://127.0.0.1:{ports[1]}",
                          listener_security_protocol_map="OUTER:PLAINTEXT,INNER:PLAINTEXT",
                          inter_broker_listener_name="INNER")
    try:
        wait_until(house.registered, 30, "a registration")
        registration = json.loads(house.zk.get(f"{house.root}/brokers/ids/7")[0])
    finally:
        process.terminate()
        process.wait(30)
    assert registration["moldau_inter_broker"] == "INNER"
    assert registration["endpoints"] == [f"OUTER://127.0.0.1:{ports[0]}", f"INNER://127.0.0.1:{ports[1]}"]
