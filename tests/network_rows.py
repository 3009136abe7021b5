"""Rows of tests/run about messages: clients on other nodes talk to jobs that move."""
import json
import threading
import time

ECHO_SERVER = """
import socket, sys
family = socket.AF_INET6
server = socket.create_server(("::", int(sys.argv[1])), family=family, dualstack_ipv6=True, backlog=128)
count = 0
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    with connection:
        count += 1
        text = connection.recv(100)
        connection.sendall(text + b" %d" % count)
"""

# One connection and one question after the other; every answer must be the right one. Each version of IP in turn.
CLIENT = """
import json, os, socket, sys, time
addresses, port, stop = sys.argv[1].split(","), int(sys.argv[2]), sys.argv[3]
gaps, asked, last, errors = [], 0, 0, []
while not os.path.exists(stop):
    asked += 1
    begin = time.monotonic()
    try:
        with socket.create_connection((addresses[asked % len(addresses)], port), timeout=20) as connection:
            connection.sendall(b"question %d" % asked)
            answer = b""
            while part := connection.recv(100):
                answer += part
        words = answer.split()
        right = words[:2] == [b"question", b"%d" % asked] and int(words[2]) > last
        if right:
            last = int(words[2])
        else:
            errors.append(repr(answer))
    except OSError as failed:
        errors.append(str(failed))
    gaps.append(time.monotonic() - begin)
    time.sleep(0.05)
print(json.dumps({"asked": asked, "errors": errors[:5], "failed": len(errors), "longest_ms": max(gaps) * 1e3,
                  "median_ms": sorted(gaps)[len(gaps) // 2] * 1e3}))
"""


# Sends echo requests, a thousand a second, and counts what comes back: the logical host's kernel answers, at whatever node.
PINGER = """
import json, os, socket, struct, sys, time
address, stop = sys.argv[1], sys.argv[2]
link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
link.setblocking(False)
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
mark = os.getpid() & 0xffff
sent, answers, last_number, reordered, unreachable = {}, {}, -1, 0, 0
doubled = 0

def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff

def receive():
    global last_number, reordered, doubled, unreachable
    while True:
        try:
            packet = link.recv(200)
        except BlockingIOError:
            return
        body = packet[20:]
        kind, _, _, ident, _ = struct.unpack("!BBHHH", body[:8])
        if kind == 3:
            unreachable += 1
        if kind != 0 or ident != mark:
            continue
        number = struct.unpack("!Q", body[8:16])[0]
        doubled += number in answers
        reordered += number < last_number
        last_number = max(last_number, number)
        answers.setdefault(number, time.monotonic())

number, begin, end = 0, time.monotonic(), None
while end is None or time.monotonic() < end:
    if end is None and os.path.exists(stop):
        end = time.monotonic() + 2.5
    if end is None and time.monotonic() >= begin + number * 0.001:
        head = struct.pack("!BBHHHQ", 8, 0, 0, mark, number & 0xffff, number)
        sent[number] = time.monotonic()
        link.sendto(head[:2] + struct.pack("!H", checksum(head)) + head[4:], (address, 0))
        number += 1
    receive()
    time.sleep(0.0002)
times = sorted(answers.values())
print(json.dumps({"sent": len(sent), "lost": len(sent) - len(answers), "doubled": doubled, "reordered": reordered, "unreachable": unreachable,
                  "lost_at": sorted(set(sent) - set(answers))[:20], "longest_gap_ms": max(b - a for a, b in zip(times, times[1:])) * 1e3,
                  "median_rtt_ms": sorted(answers[n] - sent[n] for n in answers)[len(answers) // 2] * 1e3}))
"""


def vip_of(lab, job):
    view = json.loads(lab.run("inspect", job, "--json").stdout)
    return view["vip"], view["vip6"]


def wait_for(condition, text, check, seconds=10):
    deadline = time.time() + seconds
    while not condition():
        check(time.time() < deadline, text)
        time.sleep(0.02)


def hop_between_connections(lab, check, job, moves, pause):
    """Moves the job around; a move that meets a connection which cannot be moved is rolled back and tried again."""
    freezes, rolled_back, at = [], 0, lab.where(job)
    nodes = ["node1", "node2", "node3"]
    while len(freezes) < moves:
        to = nodes[(nodes.index(at) + 1) % len(nodes)]
        done = lab.run("move", job, "--to", to, "--json", ok=None)
        report = json.loads(done.stdout.splitlines()[0]) if done.stdout else {}
        if report.get("state") == "moved":
            at = to
            freezes.append(report["freeze_ms"])
            time.sleep(pause)
            continue
        said = f"{report.get('message')} {report.get('refusals')} {done.stderr}"
        check("socket" in said, f"move to {to}: {said}")
        rolled_back += 1
        check(rolled_back < 20 * moves, f"too many moves were rolled back: {said}")
    return freezes, rolled_back


def moved_server(lab, check, mechanism, moves=12, pause=0.25):
    """A server that moves `moves` times while a client on node3 asks it question after question."""
    job, port = "server-" + mechanism, 9000
    lab.file("/shared/echo.py", ECHO_SERVER)
    lab.file("/shared/client.py", CLIENT)
    lab.run("run", "-d", "--name", job, "--on", "node1", "--cwd", "/shared", "--forwarding", mechanism, "--",
            "/usr/bin/python3", "/shared/echo.py", str(port))
    wait_for(lambda: "ready" in lab.logs(job), "the server is never ready", check)
    addresses = ",".join(vip_of(lab, job))
    stop = f"/shared/stop-{job}"
    lab.run("run", "-d", "--name", "client-" + mechanism, "--on", "node3", "--cwd", "/shared", "--",
            "/usr/bin/python3", "/shared/client.py", addresses, str(port), stop)
    time.sleep(0.5)
    freezes, rolled_back = hop_between_connections(lab, check, job, moves, pause)
    lab.shell("node1", f"touch {stop}")
    code = lab.wait("client-" + mechanism, 60)
    said = lab.logs("client-" + mechanism)
    check(code == 0, f"the client ended with {code}: {said[-500:]}")
    result = json.loads(said)
    check(result["failed"] == 0, f"the client saw errors: {result}")
    check(result["asked"] > moves, f"the client asked too little: {result}")
    lab.run("kill", job)
    lab.wait(job, 20)
    longest = max(freezes)
    return (f"{moves} moves ({rolled_back} rolled back), {result['asked']} questions, median {result['median_ms']:.1f} ms, longest {result['longest_ms']:.0f} ms; "
            f"longest freeze {longest:.0f} ms")


def pinged(lab, check, mechanism, moves=10, pause=0.3):
    """The same with a thousand echo requests a second, of which the mechanisms that hold may lose none."""
    job = "pinged-" + mechanism
    lab.file("/shared/pinger.py", PINGER)
    lab.run("run", "-d", "--name", job, "--on", "node1", "--cwd", "/shared", "--forwarding", mechanism, "--", "sleep", "1000")
    stop = f"/shared/stop-{job}"
    client = lab.popen("lab", "exec", "node3", "--", "/usr/bin/python3", "/shared/pinger.py", vip_of(lab, job)[0], stop)
    time.sleep(1)
    freezes = lab.hop(job, moves, pause=pause)
    lab.shell("node1", f"touch {stop}")
    said = client.communicate(timeout=30)[0]
    check(client.returncode == 0, f"the client ended with {client.returncode}: {said[-500:]}")
    result = json.loads(said)
    check(result["sent"] > 1000 and result["doubled"] == 0, f"{result}")
    if mechanism in ("update", "origin", "traversal"):
        check(result["lost"] == 0, f"messages were lost: {result}")
    counts = json.loads(lab.run("inspect", job, "--json").stdout)["messages"]
    lab.run("kill", job)
    lab.wait(job, 20)
    result["counts"] = counts
    return f"{moves} moves, freezes to {max(freezes):.1f} ms: {result}"


def traced(lab, check):
    """trace shows each packet on its way: through the node that the job left, waiting, and to the job at its new place"""
    lab.file("/shared/pinger.py", PINGER)
    lab.run("run", "-d", "--name", "traced", "--on", "node1", "--cwd", "/shared", "--", "sleep", "1000")
    stop, address = "/shared/stop-traced", vip_of(lab, "traced")[0]
    trace, packets = lab.popen("trace", "traced", "--json"), []
    reader = threading.Thread(target=lambda: packets.extend(json.loads(line) for line in trace.stdout))
    reader.start()
    client = lab.popen("lab", "exec", "node3", "--", "/usr/bin/python3", "/shared/pinger.py", address, stop)
    time.sleep(1)
    lab.move("traced", "node2")
    time.sleep(0.5)
    lab.shell("node1", f"touch {stop}")
    said = client.communicate(timeout=30)[0]
    time.sleep(0.6)
    trace.terminate()
    reader.join(10)
    trace.wait(10)
    seen = {(packet["node"], packet["passage"]) for packet in packets if packet.get("to") == address}
    for node, passage in (("node3", "left"), ("node1", "arrived"), ("node1", "delivered"), ("node2", "arrived"), ("node2", "delivered")):
        check((node, passage) in seen, f"no packet {passage} on {node}: {seen}")
    check(any(packet.get("passage") == "waited" for packet in packets), f"none waited: {seen}")
    times = [packet["unix_ns"] for packet in packets if "passage" in packet]
    check(times == sorted(times), "not in the order of time")
    delivered = sum(packet.get("passage") == "delivered" and packet["to"] == address for packet in packets)
    check(delivered >= json.loads(said)["sent"] * 0.9, f"{delivered} delivered, {said}")
    lab.run("kill", "traced")
    lab.wait("traced", 20)
    return f"{len(packets)} packets seen"


# Asks until an answer comes; prints after how many milliseconds, or -1.
REACH = """
import os, socket, struct, sys, time
address, patience = sys.argv[1], float(sys.argv[2])
link = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
link.settimeout(0.02)
mark, number, begin = os.getpid() & 0xffff, 0, time.monotonic()

def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff

while time.monotonic() < begin + patience:
    head = struct.pack("!BBHHH", 8, 0, 0, mark, number)
    try:
        link.sendto(head[:2] + struct.pack("!H", checksum(head)) + head[4:], (address, 0))
        number += 1
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            body = link.recv(200)[20:]
            if body[0] == 0 and struct.unpack("!H", body[4:6])[0] == mark:
                print(int((time.monotonic() - begin) * 1000))
                sys.exit(0)
    except TimeoutError:
        pass
    except OSError:
        time.sleep(0.02)
print(-1)
"""

DIRECTORY, HOME, MIDDLE, LAST, KNOWING, NEW = "node1", "node2", "node3", "node4", "node5", "node6"
# Which failures messages survive ("unheard": the source is lost, and nobody but the destination heard it during the
# move): those of a node that had spoken to the job at home, and of one that had not.
SURVIVES = {
    "update": {"home": (True, True), "source": (True, True), "unheard": (True, True), "directory": (True, True)},
    "traversal": {"home": (False, True), "source": (False, True), "directory": (True, True)},
    "traversal-used": {"home": (True, True), "source": (True, True), "directory": (True, True)},
    "origin": {"home": (False, False), "source": (True, True), "unheard": (True, True), "directory": (True, True)},
    "resend": {"home": (True, True), "source": (True, True), "directory": (True, True)},
    "resend-notify": {"home": (True, True), "source": (True, True), "directory": (True, True)},
}


def reach(lab, node, address, patience=4):
    return int(lab.run("lab", "exec", node, "--", "/usr/bin/python3", "/shared/reach.py", address, str(patience)).stdout)


def address_of(lab, node):
    return json.loads(lab.run("lab", "exec", node, "--", "ip", "-j", "-4", "address", "show", "eth0").stdout)[0]["addr_info"][0]["local"]


def failures(new_lab, check):
    """which forwarding mechanism survives the loss of which node; the table of docs/forwarding.md"""
    wrong, table = [], []
    with new_lab("failures", nodes=6) as lab:
        lab.file("/shared/reach.py", REACH)
        for mechanism, expected in SURVIVES.items():
            for failure, survivors in expected.items():
                job = f"{mechanism}-{failure}"
                start = ("run", "-d", "--name", job, "--on", HOME, "--cwd", "/shared", "--forwarding", mechanism.removesuffix("-used"),
                         "--", "sleep", "1000")
                wait_for(lambda: lab.run(*start, ok=None).returncode == 0, f"{job} cannot be started", check, 20)  # nodes come back
                address = vip_of(lab, job)[0]
                check(reach(lab, KNOWING, address) >= 0, f"{job}: not reached where it began")
                for to in (MIDDLE, LAST):
                    if failure == "unheard" and to == LAST:
                        for node in (HOME, KNOWING):
                            lab.shell(MIDDLE, f"ip route add blackhole {address_of(lab, node)}")
                    wait_for(lambda: lab.run("move", job, "--to", to, ok=None).returncode == 0, f"{job} does not move to {to}", check, 20)
                    if mechanism.endswith("-used"):
                        check(reach(lab, KNOWING, address) >= 0, f"{job}: not reached on {to}")
                        time.sleep(0.3)
                lost = {"home": HOME, "source": MIDDLE, "unheard": MIDDLE, "directory": DIRECTORY}[failure]
                lab.shell(lost, "ip link set eth0 down")
                times = tuple(reach(lab, node, address) for node in (KNOWING, NEW))
                lab.shell(lost, "ip link set eth0 up; ip route flush type blackhole")
                reach(lab, lost, vip_of(lab, job)[0])
                if tuple(each >= 0 for each in times) != survivors:
                    wrong.append(f"{job}: {times}")
                table.append(f"{mechanism}/{failure} {times[0]}/{times[1]}")
                lab.run("kill", "-s", "KILL", job)
                lab.wait(job, 20)
    check(not wrong, f"otherwise than documented: {wrong}")
    return "milliseconds until reached (-1: not): " + ", ".join(table)


def rows(check):
    """The rows by name; `check` is the runner's."""
    def row(mechanism):
        def run(lab):
            return moved_server(lab, check, mechanism)
        run.__doc__ = f"a client on another node and a server that moves, forwarding by {mechanism}"
        return run

    def ping_row(mechanism):
        def run(lab):
            return pinged(lab, check, mechanism)
        run.__doc__ = f"a thousand messages a second to a moving job, forwarding by {mechanism}"
        return run
    mechanisms = ("update", "traversal", "origin", "resend-notify", "resend")
    def trace_row(lab):
        return traced(lab, check)
    trace_row.__doc__ = traced.__doc__
    return {"trace": trace_row, **{"net-" + mechanism: row(mechanism) for mechanism in mechanisms},
            **{"ping-" + mechanism: ping_row(mechanism) for mechanism in mechanisms}}
