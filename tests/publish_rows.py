"""A row of tests/run about published ports: a client outside the cluster, and a job that moves."""
import glob
import json
import subprocess
import time

SERVER = """
import socket, threading
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.bind(("::", 53))

def echo(connection):
    while part := connection.recv(65536):
        connection.sendall(part)
    connection.close()

def answer():
    while True:
        text, sender = datagrams.recvfrom(100)
        datagrams.sendto(text, sender)

threading.Thread(target=answer, daemon=True).start()
print("ready", flush=True)
while True:
    threading.Thread(target=echo, args=(server.accept()[0],)).start()
"""

# One connection for the whole time, every byte compared; and datagrams, of which each must come back.
CLIENT = """
import json, os, random, socket, sys, time
address, stop = sys.argv[1], sys.argv[2]
connection = socket.create_connection((address, 8080), timeout=20)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.settimeout(10)
content, rounds, gap = random.Random(1).randbytes(20000), 0, 0
while not os.path.exists(stop):
    begin = time.monotonic()
    connection.sendall(content)
    answer = b""
    while len(answer) < len(content):
        part = connection.recv(65536)
        assert part, "the connection ended"
        answer += part
    assert answer == content, "other bytes came back"
    rounds += 1
    datagrams.sendto(b"%d" % rounds, (address, 5353))
    assert datagrams.recv(100) == b"%d" % rounds, "another datagram came back"
    gap = max(gap, time.monotonic() - begin)
print(json.dumps({"rounds": rounds, "gap_ms": gap * 1e3}))
"""


class Outsider:
    """A machine without godwit, on the network of a lab."""

    def __init__(self, lab, godwit):
        labs = json.loads(subprocess.run([godwit, "lab", "status", "--lab", lab.name, "--json"], capture_output=True, text=True,
                                         timeout=60, check=True).stdout)["labs"]
        self.address = labs[0]["nodes"][2]["address"].split("/")[0]  # of node3
        bridges = [name for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
                   for name in glob.glob(f"{root}/godwit-lab/{lab.name}/bridge/cgroup.procs")]
        with open(bridges[0], encoding="ascii") as processes:
            bridge = processes.readline().strip()
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "300"])
        time.sleep(0.3)
        own = self.address.rsplit(".", 1)[0] + ".250"
        for target, command in ((bridge, f"ip link add name outside type veth peer name eth0 netns {self.process.pid}"),
                                (bridge, "ip link set outside master bridge up"),
                                (self.process.pid, f"ip addr add {own}/24 dev eth0"), (self.process.pid, "ip link set eth0 up")):
            subprocess.run(["nsenter", "-t", str(target), "-n", *command.split()], timeout=20, check=True, capture_output=True)

    def popen(self, *command):
        return subprocess.Popen(["nsenter", "-t", str(self.process.pid), "-n", *command], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def close(self):
        self.process.kill()
        self.process.wait()


def published(lab, check, godwit):
    """a client outside the cluster and a job behind a published port: ten moves, every byte"""
    lab.run("run", "-d", "--name", "shop", "--on", "node1", "--cwd", "/shared", "--publish", "8080:80", "--publish", "5353:53/udp",
            "--", "python3", "-c", SERVER)
    taken = lab.run("run", "-d", "--name", "other", "--publish", "8080:80", "--", "sleep", "9", ok=None)
    check(taken.returncode != 0 and "8080" in taken.stderr, f"a port was given twice: {taken.stdout} {taken.stderr}")
    stop = f"/tmp/{lab.name}-stop"
    subprocess.run(["rm", "-f", stop], check=True)
    time.sleep(1)
    outsider = Outsider(lab, godwit)
    try:
        client = outsider.popen("python3", "-c", CLIENT, outsider.address, stop)
        time.sleep(0.5)
        for to in ["node2", "node1"] * 4 + ["node3", "node1"]:
            lab.move("shop", to)
            time.sleep(0.1)
        subprocess.run(["touch", stop], check=True)
        said = client.communicate(timeout=40)[0]
        check(client.returncode == 0, f"the client: {said[-300:]}")
    finally:
        outsider.close()
        subprocess.run(["rm", "-f", stop], check=False)
    lab.run("kill", "-s", "KILL", "shop")
    time.sleep(1)
    for node in ("node1", "node3"):
        left = lab.shell(node, "nft list tables; ss -tlnaH").stdout
        check("published" not in left and "8080" not in left, f"left behind on {node}: {left}")
    result = json.loads(said.splitlines()[-1])
    return f"{result['rounds']} round trips, longest {result['gap_ms']:.0f} ms"


def rows(check, godwit):
    """The rows by name; `check` is the runner's, `godwit` the program."""
    def row(lab):
        return published(lab, check, godwit)
    row.__doc__ = published.__doc__
    return {"published": row}
