"""Rows of tests/run about what a job makes of its own network: it travels, or is refused by name."""
import json
import os
import subprocess
import tempfile

from network_rows import wait_for

# Makes interfaces, addresses, routes, rules, neighbours, a packet filter and settings; then looks at all of it again and
# again when it is told to: nothing may be another. First alone in a namespace of its own.
PROGRAM = r'''
import ctypes, json, os, re, socket, subprocess, sys, time

nft = ctypes.CDLL("libnftables.so.1")
nft.nft_ctx_new.restype = nft.nft_ctx_get_output_buffer.restype = nft.nft_ctx_get_error_buffer.restype = ctypes.c_void_p

def rules(text):
    context = ctypes.c_void_p(nft.nft_ctx_new(0))
    nft.nft_ctx_buffer_output(context)
    nft.nft_ctx_buffer_error(context)
    failed = nft.nft_run_cmd_from_buffer(context, text.encode())
    said = ctypes.string_at(nft.nft_ctx_get_output_buffer(context)).decode()
    complaint = ctypes.string_at(nft.nft_ctx_get_error_buffer(context)).decode()
    nft.nft_ctx_free(context)
    assert not failed, complaint
    return said

def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout

SETTINGS = {"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/log_martians": "1", "net/ipv4/conf/dum0/rp_filter": "2",
            "net/ipv6/conf/dum0/hop_limit": "77", "net/ipv4/tcp_fin_timeout": "33", "net/ipv4/ip_local_port_range": "40000\t50000",
            "net/ipv4/conf/br0/arp_announce": "2", "net/ipv6/conf/default/accept_ra": "0", "net/ipv4/conf/lo/log_martians": "0"}
IP = """
link set dum0 mtu 1400 address 02:00:00:00:00:11 alias the_first up
address add 10.9.0.1/24 dev dum0
address add 10.9.0.2/24 dev dum0
address add 10.9.1.1/32 dev dum0 label dum0:x noprefixroute
address add fd00:9::1/64 dev dum0
link add br0 type bridge ageing_time 12300 stp_state 0 mcast_snooping 0 priority 4096
link add left type veth peer name right
link set left master br0 up
link set dum1 up
link set dum1 master br0
link set br0 up
address add 10.10.0.1/16 brd + dev br0
link set dev left type bridge_slave isolated on cost 17
link set right up
address add 10.11.0.1/24 dev right
route add 192.0.2.0/24 via 10.9.0.77 dev dum0 metric 50 mtu 1300 src 10.9.0.2
route add 198.51.100.0/24 via 192.0.2.1 dev dum0 onlink
route add blackhole 203.0.113.0/24
route add 203.0.113.64/26 table 77 nexthop via 10.9.0.78 weight 2 nexthop via 10.10.0.9
route add 10.9.0.128/25 dev dum0 scope link
route add fd00:77::/48 via fd00:9::77 dev dum0
route add unreachable fd00:88::/48
rule add from 10.9.0.0/24 table 77 priority 500
rule add fwmark 5/7 iif dum0 lookup 78 priority 501
rule add to fd00:9::/64 unreachable priority 502
rule add to 10.77.0.0/30 uidrange 5-9 lookup main suppress_prefixlength 0 priority 503
neighbour add 10.9.0.77 lladdr 02:00:00:00:00:77 dev dum0 nud permanent
neighbour add fd00:9::77 lladdr 02:00:00:00:00:78 dev dum0 nud permanent
neighbour add proxy 10.9.0.99 dev dum0
link set lo mtu 40000
"""
TABLE = """
table inet mine {
  comment "made by a program"
  counter hits { }
  counter other { packets 5 bytes 600 }
  quota most { over 10 mbytes used 5 kbytes }
  set names { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.5-192.168.1.9 } }
  set some { type inet_service; flags timeout; timeout 1h; elements = { 80 timeout 2h comment "web", 443 } }
  set pairs { type ipv4_addr . inet_service; elements = { 10.1.1.1 . 80, 10.1.1.2 . 443 } }
  set lively { type ipv4_addr; size 100; flags dynamic; }
  map to { type inet_service : ipv4_addr; elements = { 80 : 10.1.1.1, 81 : 10.1.1.2 } }
  map which { type inet_service : verdict; elements = { 22 : accept, 23 : jump special, 24 : drop } }
  chain special { tcp dport 23 counter packets 3 bytes 180 return; }
  chain in {
    type filter hook input priority 0; policy accept;
    udp dport 5500 counter name hits accept comment "counted"
    ip saddr @names counter drop
    tcp dport vmap @which
    tcp dport { 5600, 5601, 5700-5800 } limit rate 10/second burst 7 packets drop
    ct state established,related accept
    meta skuid { 5, 6 } ip daddr . tcp dport @pairs log prefix "mine " level info
    udp dport 5501 update @lively { ip saddr counter }
  }
  chain out { type route hook output priority mangle; tcp dport 4242 meta mark set 0x5 ct mark set meta mark; }
}
table ip nat4 {
  chain post { type nat hook postrouting priority srcnat; oifname "dum0" ip saddr 10.10.0.0/16 masquerade; }
  chain pre { type nat hook prerouting priority dstnat; tcp dport 81 dnat to tcp dport map { 81 : 10.1.1.2 }; }
}
table netdev early { chain first { type filter hook ingress device "dum0" priority 0; ip protocol icmp counter; }; }
table ip6 empty { flags dormant; }
table inet extra {
  limit slow { rate 5/second burst 3 packets }
  set areas { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 80-90, 192.168.0.0/16 . 443 } }
  map counters { type inet_service : counter; elements = { 70 : "c1" } }
  counter c1 { packets 4 bytes 44 }
  set v6 { type ipv6_addr; flags timeout; elements = { fd00:1::1 timeout 1h, fd00:2::5 } }
  chain y {
    tcp dport 9 jump { counter accept; }
    tcp dport 10 meter m1 { ip saddr limit rate 5/second } accept
    ip daddr . tcp dport @areas counter name tcp dport map @counters
    tcp dport 11 limit name "slow" reject with tcp reset
    ct mark set jhash ip saddr mod 4
    fib saddr type local numgen random mod 2 0 accept
    tcp option maxseg size set rt mtu
    meta nftrace set 1
    reset tcp option sack-perm
    add @v6 { ip6 saddr timeout 10m }
    quota over 1 mbytes drop
  }
}
"""

def make():
    for name in ("dum0", "dum1", "dum2"):  # a pair where the kernel has no dummies
        if subprocess.run(["ip", "link", "add", name, "type", "dummy"], capture_output=True).returncode:
            run("ip", "link", "add", name, "type", "veth", "peer", "name", name + "end")
            run("ip", "link", "set", name + "end", "up")
    for line in IP.strip().splitlines():
        words = line.split()
        run("ip", *(["-6"] if words[0] in ("route", "rule") and "fd00:" in line else []), *words)
    if not subprocess.run("ip link add link right name right.7 type vlan id 7".split(), capture_output=True).returncode:  # not in every kernel
        run("ip", "link", "set", "right.7", "up")
        run("ip", "address", "add", "10.12.0.1/24", "dev", "right.7")
    if not subprocess.run("ip link add link right name mac0 address 02:00:00:00:00:31 type macvlan mode bridge".split(), capture_output=True).returncode:
        run("ip", "link", "set", "mac0", "up")
        run("ip", "address", "add", "10.13.0.1/24", "dev", "mac0")
    run(*"ip tuntap add tap0 mode tap user 7 group 8".split())
    run(*"ip link set tap0 address 02:00:00:00:00:41 mtu 1300 up".split())
    run(*"ip tuntap add tun0 mode tun pi".split())
    run("bridge", "fdb", "add", "02:00:00:00:00:55", "dev", "left", "master", "static")
    run("bridge", "fdb", "add", "02:00:00:00:00:56", "dev", "left", "master", "permanent")
    run("bridge", "fdb", "add", "02:00:00:00:00:57", "dev", "br0", "self", "permanent")
    rules(TABLE)
    for name, value in SETTINGS.items():
        with open("/proc/sys/" + name, "w") as file: file.write(value)
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(7): end.sendto(b"x" * 20, ("127.0.0.1", 5500))
    for _ in range(3): end.sendto(b"x" * 20, ("127.0.0.1", 5501))

# What tells of the moment, or of the node's end of eth0.
PASSING = {"hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "hold_timer", "message_age_timer", "forward_delay_timer",
           "link_index", "link_netnsid", "operstate", "txqlen_", "updelay"}
def still(value):
    if isinstance(value, dict):
        return {key: still(each) for key, each in value.items() if key not in PASSING}
    # NO-CARRIER beside LOWER_UP: the kernel takes up to a second to say that what lies below is up
    return [still(each) for each in value if each != "NO-CARRIER"] if isinstance(value, list) else value

def look():
    seen = {}
    for words in ("-d link", "addr", "-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule", "-4 neigh show nud permanent",
                  "-6 neigh show nud permanent", "neigh show proxy"):
        text = run("ip", "-j", *words.split())
        lines = json.loads(text) if text.strip() else []
        seen[words] = sorted((json.dumps(still(line), sort_keys=True) for line in lines)) if "route" in words else still(lines)
    seen["fdb"] = sorted(run("bridge", "fdb").splitlines())
    # sets are lists without an order
    seen["rules"] = re.sub(r" expires \S+", "", rules("list ruleset"))
    seen["rules"] = re.sub(r"elements = \{([^}]*)\}", lambda all: "elements = " + str(sorted(each.strip() for each in all[1].split(","))), seen["rules"])
    seen["settings"] = {name: open("/proc/sys/" + name).read().strip() for name in SETTINGS}
    seen["all settings"] = run("sh", "-c", "cd /proc/sys/net && grep -rsH . ipv4/conf ipv6/conf ipv4/ip_* ipv4/tcp_fin_timeout | sort | grep -v stable_secret")
    return seen

def difference(before, now):
    for key in before:
        if before[key] != now[key]:
            old, new = (each[key] if isinstance(each[key], list) else str(each[key]).splitlines() for each in (before, now))
            return key + ": gone: " + str([e for e in old if e not in new]) + " come: " + str([e for e in new if e not in old])

if os.readlink("/proc/self/ns/net") == sys.argv[2]: sys.exit("this must not be done to a whole machine's network")
make()
time.sleep(2.5)  # duplicate addresses are looked for
before = look()
assert "packets 7" in before["rules"] and "packets 3 bytes 144" in before["rules"], before["rules"]
print("ready", flush=True)
if sys.argv[1] == "-": sys.exit(difference(before, look()))
looks = 0
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
    if not os.path.exists(sys.argv[1] + f"-{looks}"): continue
    if wrong := difference(before, look()):
        print("FAIL after", looks, "looks:", wrong, flush=True)
        sys.exit(1)
    print("looked", looks, flush=True)
    looks += 1
# And it still works.
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.sendto(b"x" * 20, ("127.0.0.1", 5500))
assert "packets 8" in rules("list counter inet mine hits"), rules("list ruleset")
rules("add element inet mine names { 172.16.0.0/12 }; delete table ip nat4")
run("ip", "link", "del", "left")
run("ip", "route", "del", "192.0.2.0/24", "metric", "50")
print("PASS", looks, flush=True)
'''

# Changes its addresses and a setting all the time, by ioctl(2), and looks whether all are as they were set.
RESTLESS = r'''
import fcntl, os, socket, struct, subprocess, sys
subprocess.run("ip link add dum0 type bridge && ip link set dum0 up", shell=True, check=True)
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
SIOCGIFADDR, SIOCSIFADDR = 0x8915, 0x8916
def request(k, address): return struct.pack("16sHH4s8x", f"dum0:{k}".encode(), socket.AF_INET, 0, address)
def text(n): return bytes((20 + n % 5, n >> 16 & 255, n >> 8 & 255, n & 255))
print("ready", flush=True)
number = 0
while not os.path.exists(sys.argv[1]):
    number += 1
    fcntl.ioctl(end, SIOCSIFADDR, request(number % 5, text(number)))
    with open("/proc/sys/net/ipv4/tcp_fin_timeout", "w") as file: file.write(str(number % 1000 + 1))
    for n in range(max(1, number - 4), number + 1):
        seen = fcntl.ioctl(end, SIOCGIFADDR, request(n % 5, b""))[20:24]
        assert seen == text(n), (number, n, seen)
    assert open("/proc/sys/net/ipv4/tcp_fin_timeout").read().strip() == str(number % 1000 + 1)
print("PASS", number, flush=True)
'''

# A program that is the network behind a TUN and the station behind a TAP: it answers what its own sockets send there, as
# the other end of a virtual private network would. Every datagram is compared, and none may be lost.
TUNNEL = r'''
import fcntl, os, select, socket, struct, subprocess, sys, threading, time
TUNSETIFF, TUNGETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x400454ca, 0x800454d2, 1, 2, 0x1000
if os.readlink("/proc/self/ns/net") == sys.argv[2]: sys.exit("this must not be done to a whole machine's network")
def attached(name, flags):
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name, flags))
    return end
tun, tap = attached(b"vpn0", IFF_TUN | IFF_NO_PI), attached(b"station0", IFF_TAP | IFF_NO_PI)
again = os.dup(tun)
idle = os.open("/dev/net/tun", os.O_RDWR)  # attached to nothing
for line in ("link set vpn0 up", "address add 10.20.0.1/24 dev vpn0", "link set station0 address 02:00:00:00:00:61 up", "address add 10.21.0.1/24 dev station0",
             "neighbour add 10.21.0.2 lladdr 02:00:00:00:00:62 dev station0 nud permanent"):
    subprocess.run(["ip", *line.split()], check=True)
def total(data):
    data += b"\0" * (len(data) % 2)
    sum_ = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while sum_ >> 16: sum_ = (sum_ & 0xffff) + (sum_ >> 16)
    return ~sum_ & 0xffff
def answer(packet):
    """The same datagram with sender and receiver exchanged; nothing for what is no UDP of version 4."""
    if packet[0] >> 4 != 4 or packet[9] != 17: return None
    source, target, ports, rest = packet[12:16], packet[16:20], packet[20:24], packet[28:]
    header = packet[:10] + b"\0\0" + target + source
    header = header[:10] + struct.pack("!H", total(header)) + header[12:]
    return header + ports[2:] + ports[:2] + packet[24:26] + b"\0\0" + rest
asked = True
def serve():
    while asked:
        for end in select.select([again, tap], [], [], 0.2)[0]:
            try: packet = os.read(end, 2000)
            except BlockingIOError: continue
            head = b"" if end == again else packet[6:12] + packet[:6] + packet[12:14]
            back = answer(packet[len(head):]) if end == again or packet[12:14] == b"\x08\0" else None
            if back: os.write(end, head + back)
server = threading.Thread(target=serve, daemon=True)
server.start()
ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
for end, address in zip(ends, ("10.20.0.2", "10.21.0.2")):
    end.connect((address, 9000))
    end.settimeout(10)
print("ready", flush=True)
rounds = 0
while not os.path.exists(sys.argv[1]):
    for end in ends:
        end.send(b"%d of this " % rounds * 20)
        assert end.recv(2000) == b"%d of this " % rounds * 20, rounds
    rounds += 1
    time.sleep(0.0005)
name, flags = struct.unpack("16sH22x", fcntl.ioctl(tun, TUNGETIFF, bytes(40)))
assert name.rstrip(b"\0") == b"vpn0" and flags & (IFF_TUN | 0x800) == IFF_TUN, (name, flags)
try: fcntl.ioctl(idle, TUNGETIFF, bytes(40)); sys.exit("attached to something")
except OSError: pass
asked = False
server.join()
os.close(tun), os.close(again)  # it was not persistent
assert "vpn0" not in subprocess.run(["ip", "link"], capture_output=True, text=True).stdout
print("PASS", rounds, flush=True)
'''

# What is refused: commands that make it, the code, commands that take it away again.
REFUSED = [
    ("ip link add mac0 link dum0 type macvlan mode source", "network.interface", "ip link del mac0"),
    ("ip tuntap add tap0 mode tap vnet_hdr", "network.interface", "ip tuntap del tap0 mode tap"),
    ("ip tuntap add tun0 mode tun multi_queue", "network.interface", "ip tuntap del tun0 mode tun multi_queue"),
    ("ip link set eth0 down", "network.given", "ip link set eth0 up"),
    ("ip address add 10.3.3.3/24 dev dum0 valid_lft 1000 preferred_lft 900", "network.expiring", "ip address del 10.3.3.3/24 dev dum0"),
    ("tc qdisc add dev dum0 root handle 5: tbf rate 1mbit burst 20000 latency 10ms", "network.qdisc", "tc qdisc del dev dum0 root"),
    ("tc qdisc add dev lo clsact && tc filter add dev lo egress bpf da bytecode '1,6 0 0 4294967295,'", "network.filter", "tc qdisc del dev lo clsact"),
    ("ip nexthop add id 7 dev dum0", "network.nexthop", "ip nexthop del id 7"),
]


def rows(check, python):
    def until_ready(lab, job):
        wait_for(lambda: "ready" in lab.logs(job) or "Error" in lab.logs(job), "never ready", check, 30)
        check("ready" in lab.logs(job), lab.logs(job)[-600:])

    def network(lab):
        """interfaces, addresses, routes, rules, neighbours, a packet filter and settings that a job has made: all as it was after each move"""
        own = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True, check=True).stdout.strip()
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write(PROGRAM)
            script.flush()
            native = subprocess.run(["unshare", "-n", "sh", "-c", f"ip link set lo up; exec {python} {script.name} - '{own}'"], capture_output=True, text=True, timeout=60)
            check(native.returncode == 0, "natively: " + native.stdout[-500:] + native.stderr[-1500:])
        lab.file("/shared/own_network.py", PROGRAM)
        lab.start("own-network", python, "/shared/own_network.py", "/shared/stop-own-network", own)
        until_ready(lab, "own-network")
        freezes = []
        for look in range(10):
            freezes += lab.hop("own-network", 1, pause=0)
            lab.shell("node1", f"touch /shared/stop-own-network-{look}")
            wait_for(lambda: f"looked {look}" in lab.logs("own-network") or "FAIL" in lab.logs("own-network"), "it does not look", check, 20)
            check("FAIL" not in lab.logs("own-network"), lab.logs("own-network")[-3000:])
        lab.shell("node1", "touch /shared/stop-own-network")
        code = lab.wait("own-network", 30)
        said = lab.logs("own-network")
        check(code == 0 and "PASS" in said, f"exit {code}: {said[-3000:]}")
        return f"10 moves, freeze {sum(freezes) / len(freezes):.1f} ms on average, {max(freezes):.1f} at most, as many looks at all of it"

    def restless(lab):
        """a job that changes its addresses and settings all the time, ten moves: the last change counts"""
        lab.file("/shared/restless.py", RESTLESS)
        lab.start("restless", python, "/shared/restless.py", "/shared/stop-restless")
        until_ready(lab, "restless")
        freezes = lab.hop("restless", 10, pause=0.2)
        lab.shell("node1", "touch /shared/stop-restless")
        code = lab.wait("restless", 30)
        said = lab.logs("restless")
        check(code == 0 and "PASS" in said, f"exit {code}: {said[-1500:]}")
        return f"10 moves, freeze {sum(freezes) / len(freezes):.1f} ms on average, {max(freezes):.1f} at most; {said.split()[-1]} changes"

    def tunnel(lab):
        """a program behind a TUN and a TAP of its own answers its own sockets through them: ten moves, no datagram lost"""
        own = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True, check=True).stdout.strip()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "tunnel.py")
            with open(path, "w", encoding="ascii") as file:
                file.write(TUNNEL)
            script = f"(sleep 1; touch {directory}/stop) & exec {python} {path} {directory}/stop '{own}'"
            native = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, timeout=60)
            check(native.returncode == 0, "natively: " + native.stdout[-500:] + native.stderr[-1500:])
        lab.file("/shared/tunnel.py", TUNNEL)
        lab.start("tunnel", python, "/shared/tunnel.py", "/shared/stop-tunnel", own)
        until_ready(lab, "tunnel")
        freezes = lab.hop("tunnel", 10, pause=0.2)
        lab.shell("node1", "touch /shared/stop-tunnel")
        code = lab.wait("tunnel", 30)
        said = lab.run("logs", "tunnel").stderr + lab.logs("tunnel")
        check(code == 0 and "PASS" in said, f"exit {code}: {said[-1500:]}")
        return f"10 moves, freeze {sum(freezes) / len(freezes):.1f} ms on average, {max(freezes):.1f} at most; {said.split()[-1]} datagrams each way"

    def refused(lab):
        """what cannot be carried of a job's own network is refused by name, and moves once it is gone"""
        lab.start("odd-network", "sh", "-c", "ip link add dum0 type bridge && ip link set dum0 up && echo ready && exec sleep 1000")
        until_ready(lab, "odd-network")
        for make, code, undo in REFUSED:
            made = lab.run("exec", "odd-network", "--", "sh", "-c", make, ok=None)
            check(made.returncode == 0, f"{make}: {made.stderr}")
            done = lab.run("move", "odd-network", "--to", "node2", "--json", ok=None)
            report = json.loads(done.stdout.splitlines()[0])
            codes = {each["code"] for each in report.get("refusals", [])}
            check(done.returncode == 3 and codes == {code}, f"{make}: exit {done.returncode}, {report.get('refusals')} {done.stderr}")
            check(all(each["remedy"] and each["what"] for each in report["refusals"]), f"{report}")
            lab.run("exec", "odd-network", "--", "sh", "-c", undo)
        lab.hop("odd-network", 2)
        lab.run("kill", "-s", "KILL", "odd-network")
    return {"own-network": network, "own-network-restless": restless, "own-network-refused": refused, "tunnel": tunnel}
