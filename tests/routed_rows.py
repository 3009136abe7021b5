"""Rows of tests/run on labs whose nodes are in different subnets, with a router between that knows nothing of jobs."""
import json
import os
import time

from network_rows import vip_of, wait_for

MECHANISMS = ("update", "traversal", "origin", "resend-notify", "resend")
# What must go as it goes between neighbours.
SAME = ["stream-" + each for each in MECHANISMS] + ["datagrams-" + each for each in MECHANISMS] + [
    "stream-both", "stream-queue", "served-redis", "net-update"]

# Numbers both ways in one connection, in writes that fill packets as large as the first link takes.
BULK_SERVER = """
import os, socket, sys
listening = socket.create_server(("::", 9500), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
ends = [listening.accept()[0] for _ in range(2)]
import threading
def serve(end):
    while data := end.recv(1 << 16):
        end.sendall(data)
    end.close()
threads = [threading.Thread(target=serve, args=(end,)) for end in ends]
[t.start() for t in threads]; [t.join() for t in threads]
print("PASS", flush=True)
"""
BULK_CLIENT = """
import hashlib, json, os, socket, sys, threading, time
addresses, stop = sys.argv[1].split(","), sys.argv[2]
block = bytes(range(251)) * 1000
told = []
def work(address):
    end = socket.create_connection((address, 9500), timeout=20)
    sizes, turns, longest = {end.getsockopt(socket.IPPROTO_TCP, 2)}, 0, 0.0
    while not os.path.exists(stop):
        begin = time.monotonic()
        end.sendall(block)
        got = b""
        while len(got) < len(block):
            part = end.recv(1 << 16)
            assert part, "the connection ended"
            got += part
        assert got == block
        turns += 1
        longest = max(longest, time.monotonic() - begin)
        sizes.add(end.getsockopt(socket.IPPROTO_TCP, 2))
        time.sleep(0.01)
    told.append({"segments": sorted(sizes), "turns": turns, "longest_ms": longest * 1e3})
    end.close()
threads = [threading.Thread(target=work, args=(address,)) for address in addresses]
[t.start() for t in threads]; [t.join() for t in threads]
print(json.dumps(told), flush=True)
"""

LISTENER = """
import socket
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind(("0.0.0.0", 9510))
print("ready", flush=True)
while True:
    text = end.recv(100)
    print("heard", text.decode(), flush=True)
"""
# A datagram to a job, wrapped as nodes wrap them, sent by whoever runs this.
FORGER = """
import socket, struct, sys
node, job, text = sys.argv[1], sys.argv[2], sys.argv[3].encode()
udp = struct.pack("!HHHH", 9511, 9510, 8 + len(text), 0) + text
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton("192.0.2.1"), socket.inet_aton(job))
total = sum(struct.unpack("!10H", head))
total = (total & 0xffff) + (total >> 16)
head = head[:10] + struct.pack("!H", 0xffff - (total + (total >> 16)) & 0xffff) + head[12:]
wrap = struct.pack("!BBBBI", 0x0c, 0, 0, 1, 0x676f64 << 8)
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3):
    end.sendto(wrap + head + udp, (node, 7708))
"""


def rows(check, lab_of, python, others):
    def on_routed_lab(name):
        def row(_):
            with lab_of("routed", routed=True) as lab:
                note = others[name](lab)
                carried = int(lab.shell("node3", "sed -n 's/^ *gwtunnel: *//p' /proc/net/dev").stdout.split()[1])
                check(carried > 100, f"only {carried} packets came to node3 through the tunnel")
            check(not os.path.exists("/run/godwit-lab/" + lab.name), "something is left of the lab")
            return note
        row.__doc__ = others[name].__doc__ + ", between subnets"
        return row

    def segments(_):
        """connections made on one node, with segments as large as its links take, go on when the job moves behind a router"""
        with lab_of("routed", routed=True) as lab:
            lab.file("/shared/bulk_server.py", BULK_SERVER)
            lab.file("/shared/bulk_client.py", BULK_CLIENT)
            lab.start("bulk", python, "/shared/bulk_server.py", node="node3")
            wait_for(lambda: "ready" in lab.logs("bulk"), "never ready", check)
            vips = vip_of(lab, "bulk")
            for version, via, source in (("-4", "169.254.0.1", vips[0]), ("-6", "fe80::1", vips[1])):  # as on a node without routers around
                lab.run("exec", "bulk", "--", "ip", version, "route", "replace", "default", "via", via, "dev", "eth0", "onlink",
                        "proto", "119", "src", source)
            client = lab.popen("lab", "exec", "node3", "--", python, "/shared/bulk_client.py", ",".join(vips), "/shared/stop-bulk")
            time.sleep(0.5)
            lab.hop("bulk", 10, pause=0.3)
            lab.shell("node1", "touch /shared/stop-bulk")
            said, complaint = client.communicate(timeout=60)
            check(client.returncode == 0, f"the client ended with {client.returncode}: {complaint[-500:]}")
            told = json.loads(said)
            check(lab.wait("bulk", 20) == 0, lab.logs("bulk")[-300:])
            for each in told:
                check(max(each["segments"]) > 1412 >= min(each["segments"]) and each["turns"] > 100, f"{told}")
            return f"10 moves: {told}"

    def strangers(_):
        """packets wrapped by somebody who is no node are dropped, those of a node are not"""
        with lab_of("routed", routed=True, nodes=2) as lab:
            lab.file("/shared/listener.py", LISTENER)
            lab.file("/shared/forger.py", FORGER)
            lab.start("listener", python, "/shared/listener.py")
            wait_for(lambda: "ready" in lab.logs("listener"), "never ready", check)
            router = open(f"/run/godwit-lab/{lab.name}/bridge.pid", encoding="utf-8").read().split()[0]
            nodes = json.loads(lab.run("lab", "status", "--json").stdout)["labs"][0]["nodes"]
            address, job = nodes[0]["address"], vip_of(lab, "listener")[0]
            shared = "/var/lib/godwit-lab/" + lab.name + "/shared"
            os.spawnlp(os.P_WAIT, "nsenter", "nsenter", "-t", router, "-n", python, shared + "/forger.py", address, job, "stranger")
            lab.shell("node2", f"{python} /shared/forger.py {address} {job} node")
            wait_for(lambda: "heard node" in lab.logs("listener"), "a node's packet does not arrive", check)
            check("stranger" not in lab.logs("listener"), "a stranger's packet arrived")
            lab.run("kill", "-s", "KILL", "listener")
    return {**{"routed-" + name: on_routed_lab(name) for name in SAME}, "routed-segments": segments, "routed-strangers": strangers}
