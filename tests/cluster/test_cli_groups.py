"""`moldau group` and `moldau consume -g` against a running cluster; of Apache Kafka as well."""
import json
import os
import signal
import subprocess

import pytest

from tests.kit import ops, raw, raw_groups
from tests.kit.cluster import ROOT, wait_until

BINARY = os.environ.get("MOLDAU_CLI", str(ROOT / "build" / "bin" / "moldau"))


@pytest.fixture
def env(whole):
    made = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU_")}
    made["MOLDAU_BOOTSTRAP"] = whole.bootstrap
    return made


@pytest.fixture
def cli(env, tmp_path):
    def run(*words, code=0, stdin=""):
        done = subprocess.run([BINARY, *words], input=stdin, capture_output=True, text=True, timeout=120,
                              cwd=tmp_path, env=env)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done
    return run


@pytest.fixture
def topic(cli):
    """Four partitions; 0 has a hundred records, 1 has fifty."""
    made = f"groups.{os.urandom(3).hex()}"
    cli("topic", "create", made, "-p", "4", "-r", "3")
    cli("produce", made, "-p", "0", stdin="".join(f"a{n}\n" for n in range(100)))
    cli("produce", made, "-p", "1", stdin="".join(f"b{n}\n" for n in range(50)))
    yield made
    cli("topic", "delete", made, "--yes", "--if-exists")


@pytest.fixture
def group():
    return f"group.{os.urandom(3).hex()}"


@pytest.fixture
def member(env, topic, group, tmp_path):
    """Starts members of the group; they leave at the end, if they have not."""
    started = []

    def start(*words):
        process = subprocess.Popen([BINARY, "consume", topic, "-g", group, *words], cwd=tmp_path, env=env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process
    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def committed(cli, group):
    return {(r["topic"], r["partition"]): r["committed"]
            for r in json.loads(cli("group", "offsets", "get", group, "--json").stdout)}


def test_a_group_reads_on_where_it_was(cli, topic, group):
    first = cli("consume", topic, "-g", group, "-o", "start", "-n", "60", "-f", "%p/%o\\n").stdout.split()
    shown = json.loads(cli("group", "lag", group, "--json").stdout)
    assert len(first) == 60 and sum(p["committed"] for p in shown["partitions"]) == 60 and shown["state"] == "Empty"
    rest = cli("consume", topic, "-g", group, "-o", "start", "--exit", "-f", "%p/%o\\n").stdout.split()
    assert len(rest) == 90 and not set(first) & set(rest)
    assert committed(cli, group) == {(topic, 0): 100, (topic, 1): 50}
    assert cli("consume", topic, "-g", group, "--exit").stdout == ""
    cli("consume", topic, "-g", group, "-p", "1", code=2)
    cli("consume", topic, "-g", group, "-o", "-5", code=2)


def test_members_and_lag_of_a_live_group(cli, topic, group, member):
    member("-o", "start")
    member("-o", "start")

    def settled():
        shown = json.loads(cli("group", "show", group, "--json").stdout) if group in cli(
            "group", "list", "-o", "name").stdout.split() else {"state": "", "members": []}
        return shown["state"] == "Stable" and [m["partitions"] for m in shown["members"]] == [2, 2] and shown
    shown = wait_until(settled, 60, "two members with two partitions each")
    scopes = [scope for m in shown["members"] for scope in m["assigned"]]
    assert sorted(p for scope in scopes for p in scope.removeprefix(topic + ":").split(",")) == list("0123")
    assert [p["partition"] for p in shown["partitions"]] == [0, 1, 2, 3]
    assert {p["member"] for p in shown["partitions"]} == {m["member"] for m in shown["members"]}
    wait_until(lambda: committed(cli, group) == {(topic, 0): 100, (topic, 1): 50}, 60, "all committed")
    assert json.loads(cli("group", "lag", group, "--json").stdout)["total_lag"] == 0
    refused = cli("group", "offsets", "reset", group, "--to", "earliest", "--apply", code=4).stderr
    assert f"group {group} is Stable with 2 members" in refused and "next: stop its consumers" in refused
    assert "has members" in cli("group", "delete", group, "--yes", code=4).stderr
    assert "members of the group read those topics" in cli(
        "group", "offsets", "delete", group, "-t", topic, "--apply", code=4).stderr


def test_the_age_of_what_is_unread(cli, topic, group, member):
    cli("group", "offsets", "reset", group, "--to", "40", "-t", topic + ":0", "--apply")
    cli("group", "offsets", "reset", group, "--to", "latest", "-t", topic + ":1", "--apply")
    shown = json.loads(cli("group", "lag", group, "--json").stdout)
    ages = {p["partition"]: p["age_ms"] for p in shown["partitions"]}
    assert 0 <= ages[0] == shown["oldest_unread_ms"] < 120_000 and ages[1] is None
    listed = {g["group"]: g for g in json.loads(cli("group", "lag", "--json").stdout)}
    assert (listed[group]["total_lag"], listed[group]["partitions"], listed[group]["state"]) == (60, 2, "Empty")
    assert listed[group]["oldest_unread_ms"] >= ages[0]
    assert "oldest unread" in cli("group", "lag", group).stdout
    cli("group", "lag", "--all", group, code=2)


@pytest.mark.moldau_only
def test_a_member_that_does_not_poll_is_noted(cli, env, topic, group, member, tmp_path):
    reader = member("-o", "start")
    wait_until(lambda: group in cli("group", "list", "-o", "name").stdout.split(), 30, "the group is there")
    wait_until(lambda: committed(cli, group) == {(topic, 0): 100, (topic, 1): 50}, 60, "all committed")
    reader.send_signal(signal.SIGSTOP)
    try:
        cli("produce", topic, "-p", "0", stdin="unread\n")
        watch = subprocess.Popen([BINARY, "group", "lag", group, "-w"], cwd=tmp_path, env=env, text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            assert any("not polling: nothing committed for" in line for line in watch.stdout)
        finally:
            watch.kill()
            watch.wait()
        # The watch had to look for a while; whoever looks now learns it from the group's log.
        for words in (["group", "lag", group], ["group", "show", group]):
            assert "not polling: nothing committed for" in cli(*words).stdout
    finally:
        reader.send_signal(signal.SIGCONT)


def test_offsets_are_reset_by_a_plan_first(cli, topic, group):
    assert "no topic is named" in cli("group", "offsets", "reset", group, "--to", "earliest", code=3).stderr
    plan = json.loads(cli("group", "offsets", "reset", group, "--to", "20", "-t", topic + ":0,1", "--json").stdout)
    assert (plan["applied"], plan["changes"]) == (False, 2)
    assert [(p["partition"], p["from"], p["to"], p["lag"]) for p in plan["partitions"]] == [
        (0, None, 20, 80), (1, None, 20, 30)]
    cli("group", "show", group, code=3)

    cli("group", "offsets", "reset", group, "--to", "20", "-t", topic + ":0,1", "--apply")
    for words, want in [(["--shift", "-5"], (15, 15)), (["--shift", "60"], (75, 50)), (["--to", "latest"], (100, 50)),
                        (["--to", "@-1d"], (0, 0)), (["--by-duration", "PT0S"], (100, 50)),
                        (["--to", "earliest"], (0, 0))]:
        cli("group", "offsets", "reset", group, *words, "--apply")
        assert committed(cli, group) == dict(zip([(topic, 0), (topic, 1)], want)), words
    short = cli("group", "offsets", "reset", group, "--to", "7", "-t", topic + ":0,9", "--apply", code=10)
    assert "no such partition" in short.stdout and committed(cli, group)[(topic, 0)] == 7
    cli("group", "offsets", "reset", group, code=2)
    cli("group", "offsets", "reset", group, "--to", "sometime", code=2)
    cli("group", "offsets", "reset", group, "--to", "latest", "-t", "no.such.topic", code=3)


def test_offsets_go_out_and_come_back(cli, topic, group):
    cli("group", "offsets", "reset", group, "--to", "30", "-t", topic + ":0,1", "--apply")
    lines = cli("group", "offsets", "export", group).stdout
    assert lines == f"{topic},0,30\n{topic},1,30\n"
    cli("group", "offsets", "import", group + "2", "-", stdin=lines)
    cli("group", "offsets", "get", group + "2", code=3)
    cli("group", "offsets", "import", group + "2", "-", "--apply", stdin=lines)
    assert committed(cli, group + "2") == committed(cli, group)
    assert "line 1" in cli("group", "offsets", "import", group, "-", "--apply", code=2, stdin="x,y\n").stderr
    cli("group", "offsets", "delete", group, "-t", topic + ":1")
    assert len(committed(cli, group)) == 2
    cli("group", "offsets", "delete", group, "-t", topic + ":1", "--apply")
    assert committed(cli, group) == {(topic, 0): 30}
    cli("group", "delete", group, code=4)
    cli("group", "delete", group, group + "2", "--yes")
    cli("group", "delete", group, "--yes", code=3)
    cli("group", "delete", group, "--yes", "--if-exists")
    assert f"did you mean '{group}3'" in (cli("group", "offsets", "reset", group + "3", "--to", "latest", "-t", topic,
                                              "--apply"), cli("group", "show", group + "x", code=3))[1].stderr


@pytest.fixture
def tool(whole, env, tmp_path):
    """Kafka's own tool, by its name; -> standard output, standard error."""
    name = tmp_path / "kafka-consumer-groups.sh"
    name.symlink_to(BINARY)

    def run(*words, code=0):
        done = subprocess.run([name, "--bootstrap-server", whole.bootstrap, *words], capture_output=True, text=True,
                              timeout=120, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout, done.stderr
    return run


def rows(text):
    return [line.split() for line in text.splitlines() if line]


RESET = "\nGROUP                          TOPIC                          PARTITION  NEW-OFFSET     "


def test_kafkas_tool_resets_and_deletes(tool, topic, group, tmp_path):
    def planned(*offsets):
        return RESET + "".join(f"{group:<30} {topic:<30} {p:<10} {o:<15}" for p, o in offsets)
    assert tool("--describe", "--group", group)[0] == f"\nError: Consumer group '{group}' does not exist.\n"
    out, err = tool("--reset-offsets", "--group", group, "--to-offset", "7777", "--topic", topic + ":0")
    assert out == planned((0, 100)) and err.startswith("WARN: No action will be performed as the --execute option is")
    assert (f"New offset (7777) is higher than latest offset for topic partition {topic}-0. Value will be set to 100 "
            "(org.apache.kafka.tools.consumer.group.ConsumerGroupCommand)\n") in err
    assert group not in tool("--list")[0].split()

    assert tool("--reset-offsets", "--group", group, "--to-offset", "7", "--topic", topic + ":0", "--execute") == (
        planned((0, 7)), "")
    assert group in tool("--list")[0].split()
    assert [group, "Empty"] in rows(tool("--list", "--state")[0])
    assert [group, "Classic", "Empty"] in rows(tool("--list", "--state", "Empty", "--type", "classic")[0])
    assert "Invalid state list 'Nope'" in tool("--list", "--state", "Nope", code=1)[1]
    out, err = tool("--describe", "--group", group)
    assert rows(out)[1:] == [[group, topic, "0", "7", "100", "93", "-", "-", "-"]] and not out.endswith("\n")
    assert err == f"\nConsumer group '{group}' has no active members.\n"
    out, _ = tool("--describe", "--group", group, "--state")
    assert rows(out)[1][0] == group and rows(out)[1][3:] == ["Empty", "0"]

    out, _ = tool("--reset-offsets", "--group", group, "--shift-by", "-3", "--all-topics", "--export", "--dry-run")
    assert out == f"{topic},0,4\n\n"
    (tmp_path / "plan.csv").write_text(out)
    assert tool("--reset-offsets", "--group", group, "--from-file", "plan.csv", "--execute")[0] == planned((0, 4))
    out, _ = tool("--reset-offsets", "--group", group, "--by-duration", "PT0S", "--topic", topic + ":0", "--dry-run")
    assert out == (f"\nWarn: Partition 0 from topic {topic} is empty. Falling back to latest known offset.\n"
                   + planned((0, 100)))
    assert "requires one of the following scenarios" in tool("--reset-offsets", "--group", group, code=1)[1]
    assert "exactly one action" in tool(code=1)[1]

    assert tool("--delete-offsets", "--group", group, "--topic", topic + ":0")[0] == (
        f"Request succeed for deleting offsets with topic {topic}:0 group {group}\n"
        "\nTOPIC                          PARTITION       STATUS         "
        f"{topic:<30} 0               Successful     ")
    tool("--reset-offsets", "--group", group, "--to-latest", "--topic", topic + ":0", "--execute")
    assert tool("--delete", "--group", group)[0] == (
        f"Deletion of requested consumer groups ('{group}') was successful.\n")
    assert tool("--delete", "--group", group)[0] == (
        "\nError: Deletion of some consumer groups failed:\n"
        f"* Group '{group}' could not be deleted due to: java.util.concurrent.ExecutionException: "
        "org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist.\n")


def test_kafkas_tool_of_a_live_group(tool, topic, group, member):
    member("-o", "start")

    def settled():
        found = rows(tool("--describe", "--group", group, "--state")[0])
        return len(found) == 2 and found[1][-2:] == ["Stable", "1"]
    wait_until(settled, 60, "one member")
    wait_until(lambda: [r for r in rows(tool("--describe", "--group", group)[0]) if r[2:6] == ["0", "100", "100", "0"]],
               60, "committed")
    found = rows(tool("--describe", "--group", group)[0])[1:]
    assert sorted(r[2] for r in found) == list("0123") and {r[-1] for r in found} == {"moldau"}
    out, err = tool("--describe", "--group", group, "--members", "--verbose")
    assert rows(out)[1][-3:] == ["moldau", "4", "(0,1,2,3)"] and err == ""
    assert tool("--reset-offsets", "--group", group, "--to-earliest", "--topic", topic, "--execute")[0] == (
        f"\nError: Assignments can only be reset if the group '{group}' is inactive, but the current state is Stable.\n"
        + RESET)
    assert "GroupNotEmptyException: The group is not empty." in tool("--delete", "--group", group)[0]
    out, _ = tool("--delete-offsets", "--group", group, "--topic", topic + ":0")
    assert out.startswith("\nError: Encounter some partition level error, see the follow-up details:\n\nTOPIC ")
    assert "GroupSubscribedToTopicException" in out


def test_kafkas_tool_tells_which_client_settings_it_does_not_know(tool, tmp_path):
    def listed(text, code=0):
        (tmp_path / "client.conf").write_text(text)
        return tool("--list", "--command-config", "client.conf", code=code)[1]
    assert listed("client.id=x\nretries=3\nmetadata.max.age.ms=1000\nrequest.timeout.ms=20000\n"
                  "security.protocol=PLAINTEXT\n") == ""
    said = listed("group.id=x\nretries=3\nreqest.timeout.ms=1\n")
    assert ("WARN These configurations '[group.id, reqest.timeout.ms]' were supplied but are not used yet. "
            "(org.apache.kafka.clients.admin.AdminClientConfig)\n") in said
    assert said.count("\n") == 1
    for refused in ("security.protocol=SASL_SSL", "ssl.truststore.location=/x", "sasl.jaas.config=x",
                    "security.providers=x", "config.providers=vault"):
        said = listed(refused + "\n", code=1)
        assert refused.split("=")[0] in said and "TLS and SASL are not spoken here, nothing was sent" in said


def test_kafkas_tool_leaves_groups_of_others_alone(tool, whole):
    group = f"workers.{os.urandom(3).hex()}"
    with raw.Connection(*whole.address(ops.coordinator(whole, group))) as c:
        joined = raw_groups.join(c, group, kind="connect", protocols=[("default", b"")])
        raw_groups.sync(c, group, joined.generation, joined.member, {joined.member: b"\0\0"})
        refusal = f"java.lang.IllegalArgumentException: GroupId {group} is not a consumer group (connect).\n"
        assert group not in tool("--list")[0].split()
        assert tool("--describe", "--group", group)[0].endswith(refusal)
        assert tool("--reset-offsets", "--group", group, "--to-latest", "--all-topics", "--dry-run")[0].endswith(
            refusal)
        raw_groups.leave(c, group, joined.member)


def test_the_doctor_tells_who_does_not_read(cli, topic, group, member):
    def found(code):
        return {p["problem"] for p in json.loads(
            cli("group", "doctor", group, "--interval", "1s", "--json", code=code).stdout)["problems"]}
    cli("group", "doctor", group, code=3)
    reader = member("-o", "start")
    wait_until(lambda: group in cli("group", "list", "-o", "name").stdout.split()
               and committed(cli, group) == {(topic, 0): 100, (topic, 1): 50}, 60, "all committed")
    assert found(0) == set()
    reader.send_signal(signal.SIGSTOP)
    cli("produce", topic, "-p", "0", stdin="more\n")
    assert found(10) == {"stalled"}
    said = cli("group", "doctor", group, "--interval", "1s", code=10).stdout
    assert f"commits nothing of {topic}-0" in said and f"next: moldau group lag {group}" in said and "DEGRADED" in said
    reader.send_signal(signal.SIGCONT)
    reader.send_signal(signal.SIGTERM)
    reader.wait(30)
    cli("group", "offsets", "reset", group, "--to", "10", "-t", topic + ":0", "--apply")
    assert found(10) == {"abandoned"}
    cli("group", "offsets", "reset", group, "--to", "latest", "--apply")
    assert found(0) == set()
