"""Rows of tests/run about what a person sees of a move and does to it while it goes on."""
import json
import time
import xml.etree.ElementTree

from network_rows import vip_of

ANSWERED = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=20)
except OSError as failed:
    print(failed)
"""


def start_writer(lab, job, heap, mib="256", rate="-1", steps="0"):
    """A program that writes to random pages of its heap, by default faster than rounds can follow; it computes for `steps` between."""
    lab.start(job, heap, mib, rate, mib, "2", steps)
    while "ready" not in lab.logs(job):
        time.sleep(0.05)


def begin_move(lab, job, to, *options):
    return lab.popen("move", job, "--to", to, "--json", "--progress", "json", *options)


def await_stage(move, stage, wanted=lambda progress: True):
    """Reads the progress of a move up to the first that is of this stage and as wanted; returns it."""
    for line in move.stderr:
        if not line.startswith("{"):
            raise ValueError(line)
        progress = json.loads(line)
        if progress["stage"] == stage and wanted(progress):
            return progress
    return None


def end_move(move, check):
    output, _ = move.communicate(timeout=120)
    check(output.startswith("{"), f"the move printed no report: {output}")
    return json.loads(output.splitlines()[0])


def rows(check, heap, nodes, godwit):
    def next_node(lab, job):
        return nodes[(nodes.index(lab.where(job)) + 1) % lab.nodes]

    def rate(lab, job):
        """Writes per second over the last second, in the program's own words."""
        for _ in range(2):
            said = lab.logs(job).count("gap")
            lab.run("kill", "-s", "USR1", job)
            deadline = time.time() + 20
            while lab.logs(job).count("gap") == said:
                check("FAIL" not in lab.logs(job) and time.time() < deadline, lab.logs(job)[-300:])
                time.sleep(0.05)
            time.sleep(1)
        return float(lab.logs(job).splitlines()[-1].split()[3])  # gap MS writes N ...

    def end_healthy(lab, job):
        rate(lab, job)
        lab.run("kill", "-s", "KILL", job)

    def switch(lab):
        """a pre-copy that does not end is switched to post-copy by hand"""
        start_writer(lab, "switch", heap, "512")
        refused = lab.run("switch", "switch", ok=(3,)).stderr
        check("is not being moved" in refused, refused)
        to = next_node(lab, "switch")
        move = begin_move(lab, "switch", to, "--memory", "precopy", "--max-freeze", "1ms", "--max-rounds", "1000")
        check(await_stage(move, "rounds") is not None, "it had no rounds")
        lab.run("switch", "switch")
        report = end_move(move, check)
        check(report["state"] == "moved" and report["switched_by_hand"], f"{report['state']}: {report['message']}")
        check(report["pages"]["pushed"] > 0 and lab.where("switch") == to, f"no post-copy: {report['pages']}")
        peaks = report["workers_peak_bytes"]
        check(0 < max(peaks.values()) < 64 << 20, f"half a GiB made the workers large: {peaks}")
        end_healthy(lab, "switch")
        return f"after {report['rounds']} rounds, freeze {report['freeze_ms']:.1f} ms, {report['pages']['pushed']} pages pushed, workers of {max(peaks.values()) >> 20} MiB"

    def rewritten(lab):
        """hybrid gives rounds up that would only be made in vain: a program that writes all of its memory again meanwhile travels little more than once"""
        start_writer(lab, "rewritten", heap)
        said = []
        for _ in range(3):
            moved = lab.move("rewritten", next_node(lab, "rewritten"))
            behind = moved["pages"]["pushed"] + moved["pages"]["on_request"]
            said.append(f"{moved['rounds']} rounds, {moved['bytes_sent'] >> 20} MiB, freeze {moved['freeze_ms']:.1f} ms")
            check(behind > 0 and not moved["switched_by_hand"], f"nothing followed: {moved['pages']}")
            check(moved["bytes_sent"] < 1.9 * (256 << 20), f"too much travelled: {said[-1]}")
        end_healthy(lab, "rewritten")
        return "; ".join(said)

    def rewritten_beside_objects(lab):
        """memory objects, which cannot follow, have travelled before the freeze when rounds are given up"""
        lab.start("beside", heap, "128", "-1", "128", "2", "0", "0", "256")
        while "ready" not in lab.logs("beside"):
            time.sleep(0.05)
        freezes = []
        for _ in range(3):
            moved = lab.move("beside", next_node(lab, "beside"))
            check(moved["pages"]["pushed"] + moved["pages"]["on_request"] > 0, f"nothing followed: {moved['pages']}")
            check(moved["bytes_sent"] > 256 << 20, f"the object did not travel: {moved['bytes_sent']}")
            freezes.append(moved["freeze_ms"])
        check(min(freezes) < 60, f"it was sent in the freeze, which takes 150 ms and more: {freezes}")
        end_healthy(lab, "beside")
        return "freezes " + ", ".join(f"{each:.1f}" for each in freezes) + " ms"

    def sorted_stream(lab):
        """sort with tens of megabytes of temporary files, which travel before its memory: the result is as without a move"""
        numbers = "awk 'BEGIN { for (i = 0; i < 3000000; i++) { x = (x * 1103515245 + 12345) % 2147483648; print x } }' | sort -n -S 10M | md5sum"
        lab.start("sorted", "sh", "-c", f"({numbers}; {numbers})")
        time.sleep(1.5)
        moved = lab.move("sorted", next_node(lab, "sorted"))
        check(moved["state"] == "moved", str(moved)[:300])
        check(lab.wait("sorted", 60) == 0, lab.logs("sorted"))
        said = lab.logs("sorted").split("\n")
        wanted = lab.shell("node1", numbers).stdout.strip()
        check(said[:2] == [wanted, wanted], f"{said} instead of {wanted}")
        return f"{moved['bytes_sent'] >> 20} MiB, freeze {moved['freeze_ms']:.1f} ms"

    def report(lab):
        """the report of the last move is kept where the job is: as text, JSON and a drawing"""
        start_writer(lab, "report", heap, "128", "100")
        refused = lab.run("report", "report", ok=(3,)).stderr
        check("has not moved" in refused, refused)
        for method in ("hybrid", "postcopy"):
            at = lab.where("report")
            moved = lab.move("report", next_node(lab, "report"), ("--memory", method))
            kept = json.loads(lab.run("report", "report", "--json").stdout)
            check(all(kept[key] == value for key, value in moved.items()), f"another report than the move's: {kept}")
            check(kept["from"] == at and kept["method"] == method, f"of another move: {kept['from']} {kept['method']}")
            samples = kept["samples"]
            times, sent = [each["at_ms"] for each in samples], [each["bytes_sent"] for each in samples]
            check(3 < len(samples) <= 260 and times == sorted(times) and sent == sorted(sent), f"samples: {samples[:5]}")
            check(times[-1] >= kept["total_ms"] - 1 and sent[-1] == kept["bytes_sent"] > 64e6, f"the last sample: {samples[-1]}")
            check(len(kept["rounds_made"]) == kept["rounds"], f"{kept['rounds']} rounds: {kept['rounds_made']}")
            check("moved from" in lab.run("report", "report").stdout, "no text")
            drawing = xml.etree.ElementTree.fromstring(lab.run("report", "report", "--svg", "-").stdout)
            check(drawing.tag.endswith("svg"), drawing.tag)
        lab.run("kill", "-s", "KILL", "report")

    def slowed_in(lab, job):
        """The cgroup of version 1 that limits the program's processor time, or that of version 2 with its limit."""
        script = "p=$(pgrep -n -x bench_heap); grep cpu /proc/$p/cgroup; cat /sys/fs/cgroup/*/cpu.max 2> /dev/null; true"
        seen = lab.shell(lab.where(job), script).stdout
        check("cpu" in seen, f"it is not seen where the program of {job} is: {seen}")
        return seen

    def slowing_left(lab, job):
        identifier = json.loads(lab.run("inspect", job, "--json").stdout)["job"]
        script = f"find /sys/fs/cgroup -path '*cpu*' -name 'godwit-{identifier}-*' | wc -l"
        return [lab.shell(node, script).stdout.strip() for node in nodes[:lab.nodes]]

    def begin_slowed(lab, job, to, freeze, *options):
        """A move that has come to slow the program down: no freeze is expected to be as short while it writes freely."""
        move = begin_move(lab, job, to, "--memory", "precopy", "--max-freeze", freeze, "--max-rounds", "100", "--on-timeout", "throttle", *options)
        held = await_stage(move, "rounds", lambda progress: progress["processor_share"] > 0)
        check(held is not None, "it was never slowed down")
        return move

    def throttle(lab):
        """rounds that do not get smaller slow the program down until they do; then it runs as before"""
        start_writer(lab, "throttle", heap, "32", steps="5000")  # so that less time means fewer pages
        before = rate(lab, "throttle")
        to = next_node(lab, "throttle")
        events = lab.popen("events", "throttle", "--json")
        move = begin_slowed(lab, "throttle", to, "20ms", "--bandwidth", "400mbit")  # on a fast link rounds end by themselves
        report = end_move(move, check)
        events.terminate()
        told = [json.loads(line)["what"] for line in events.communicate(timeout=20)[0].splitlines()]
        check(report["state"] == "moved" and report["slowed_ms"] > 0, f"{report['state']}: {report['message']}")
        check(report["pages"]["pushed"] == 0, f"it was no pre-copy: {report['pages']}")
        check("slowed down" in told and "runs at full speed again" in told, f"events: {told}")
        check(set(slowing_left(lab, "throttle")) == {"0"} and "godwit-" not in slowed_in(lab, "throttle"), "a limit is left")
        after = rate(lab, "throttle")
        check(after > before / 3, f"{before:.0f} writes per second before the move, {after:.0f} afterwards")
        lab.run("kill", "-s", "KILL", "throttle")
        return (f"held to {report['least_processor_share']} processors, {report['slowed_ms']:.0f} ms in all, {report['rounds']} rounds, "
                f"freeze {report['freeze_ms']:.1f} ms; writes per second {before:.0f} before, {after:.0f} after")

    def unslowed(lab):
        """a move called off, or a worker killed, while the program is slowed down leaves it as fast as before"""
        notes = []
        for how in ("cancelled", "killed"):
            start_writer(lab, how, heap, "32")
            before, at = rate(lab, how), lab.where(how)
            move = begin_slowed(lab, how, next_node(lab, how), "1ms", "--bandwidth", "100mbit")  # rounds of seconds, and never short enough
            check("godwit-" in slowed_in(lab, how), f"not slowed: {slowed_in(lab, how)}")
            if how == "cancelled":
                lab.run("cancel", how)
            else:
                lab.shell(at, "kill -9 $(pgrep -x godwit-worker)")
            report = end_move(move, check)
            check(report["state"] == "failed" and lab.where(how) == at, f"{how}: {report['state']} {report['message']}")
            check(set(slowing_left(lab, how)) == {"0"} and "godwit-" not in slowed_in(lab, how), f"{how}: a limit is left")
            after = rate(lab, how)
            check(after > before / 3, f"{how}: {before:.0f} writes per second before, {after:.0f} afterwards")
            notes.append(f"{how}: {before:.0f} before, {after:.0f} after")
            lab.run("kill", "-s", "KILL", how)
        return "writes per second " + "; ".join(notes)

    def figures(lab, node):
        """A node's metrics: values by name with labels."""
        fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:7709/metrics', timeout=10).read().decode())"
        page = lab.run("lab", "exec", node, "--", "/usr/bin/python3", "-c", fetch).stdout
        return dict(line.rsplit(" ", 1) for line in page.splitlines() if line and not line.startswith("#"))

    def metrics(lab):
        """a daemon's metrics count what a move did"""
        start_writer(lab, "metrics", heap, "64", "50")
        at, to = lab.where("metrics"), next_node(lab, "metrics")
        before, there = figures(lab, at), figures(lab, to)
        report = lab.move("metrics", to, ("--memory", "postcopy"))
        lab.run("move", "metrics", "--to", to, ok=(3,))  # it is there: refused by the command, no move
        after = figures(lab, at)

        def grown(name):
            return float(after.get(name, 0)) - float(before.get(name, 0))

        check(grown('godwit_moves_total{method="postcopy",result="moved"}') == 1, f"moves: {after}")
        check(grown("godwit_move_freeze_seconds_count") == 1 and grown('godwit_move_freeze_seconds_bucket{le="+Inf"}') == 1, f"freezes: {after}")
        check(abs(grown("godwit_move_freeze_seconds_sum") * 1000 - report["freeze_ms"]) < 0.1, f"freeze: {after}")
        check(grown("godwit_move_sent_bytes_total") == report["bytes_sent"], f"bytes: {after}")
        check(grown("godwit_move_requested_pages_total") == report["pages"]["on_request"], f"pages: {after}")
        check(grown('godwit_jobs{state="running"}') == -1, f"jobs: {after}")
        check(float(figures(lab, to)['godwit_jobs{state="running"}']) == float(there['godwit_jobs{state="running"}']) + 1, "jobs there")
        lab.run("kill", "-s", "KILL", "metrics")

    def top(lab):
        """top shows nodes, jobs and how far a move is"""
        start_writer(lab, "top", heap, "512")
        to = next_node(lab, "top")
        check("top" in lab.run("top", "--once").stdout, "the job is not shown")
        move = begin_move(lab, "top", to, "--memory", "hybrid", "--max-freeze", "1ms", "--max-rounds", "5")
        check(await_stage(move, "rounds", lambda progress: progress["done_bytes"] > 0) is not None, "it had no rounds")
        shown = json.loads(lab.run("top", "--once", "--json").stdout)
        check(end_move(move, check)["state"] == "moved", "not moved")
        check([node["node"] for node in shown["nodes"]] == nodes[:lab.nodes], f"nodes: {shown['nodes']}")
        mine = [job for job in shown["jobs"] if job["name"] == "top"]
        check(len(mine) == 1 and mine[0]["move"] and mine[0]["move"]["to"] == to, f"jobs: {mine}")
        check(mine[0]["move"]["progress"]["done_bytes"] > 0, f"progress: {mine[0]['move']}")
        lab.run("kill", "-s", "KILL", "top")

    def bandwidth(lab):
        """a limit holds for memory that travels while the program runs, in rounds and when it is pushed, by one connection and by four"""
        start_writer(lab, "bandwidth", heap, "64", "0.1")
        notes = []
        for method, streams in (("precopy", "1"), ("precopy", "4"), ("postcopy", "4")):
            begun = time.time()
            report = lab.move("bandwidth", next_node(lab, "bandwidth"), ("--memory", method, "--bandwidth", "400mbit", "--streams", streams))
            took = time.time() - begun
            check(took > 64 * 1.048576 / 50 * 0.85, f"{method}: {report['bytes_sent']} bytes in {took:.2f} s")
            check(report["freeze_ms"] < 300, f"{method}: the freeze was held back: {report['freeze_ms']} ms")
            notes.append(f"{method} by {streams} {report['bytes_sent'] / took / 1e6:.0f} MB/s of 50")
        refused = lab.run("move", "bandwidth", "--to", next_node(lab, "bandwidth"), "--bandwidth", "fast", ok=(2,)).stderr
        check("200mbit" in refused, refused)
        end_healthy(lab, "bandwidth")
        return ", ".join(notes)

    def long_move(lab):
        """a move that takes longer than nodes wait for each other's connections, in rounds and while memory is pushed"""
        start_writer(lab, "long-move", heap, "64", "0.0001")
        notes = []
        for method in ("precopy", "postcopy"):
            report = lab.move("long-move", next_node(lab, "long-move"), ("--memory", method, "--bandwidth", "16mbit"))
            took = report["total_ms"] / 1e3
            check(31 < took < 50, f"{method}: it took {took:.1f} s, and at that bandwidth it is 34")
            notes.append(f"{method} {report['total_ms'] / 1e3:.0f} s, freeze {report['freeze_ms']:.0f} ms")
        end_healthy(lab, "long-move")
        return ", ".join(notes)

    def cut_off(lab):
        """the other node cannot be reached any more in the midst of a move: it is called off before long, the program runs on"""
        start_writer(lab, "cut-off", heap, "64", "0.1")
        at, to = lab.where("cut-off"), next_node(lab, "cut-off")
        move = begin_move(lab, "cut-off", to, "--memory", "precopy", "--bandwidth", "16mbit")
        check(await_stage(move, "rounds") is not None, "it had no rounds")
        lab.shell(to, "ip link set eth0 down")
        begun = time.time()
        try:
            report = end_move(move, check)
        finally:
            lab.shell(to, "ip link set eth0 up")
        took = time.time() - begun
        check(report["state"] == "failed" and took < 35, f"{report['state']} after {took:.0f} s: {report['message']}")
        check(lab.where("cut-off") == at, "it is elsewhere")
        for address in vip_of(lab, "cut-off"):  # nobody listens there: that is an answer too
            said = lab.run("lab", "exec", to, "--", "/usr/bin/python3", "-c", ANSWERED, address).stdout
            check("refused" in said, f"{address} cannot be reached from {to}: {said}")
        end_healthy(lab, "cut-off")
        return f"called off after {took:.0f} s"

    def cut_behind(lab):
        """the network is cut while memory is still behind: the program stands still where it needs it, and goes on when it can"""
        start_writer(lab, "cut-behind", heap, "96", "20")
        at, to = lab.where("cut-behind"), next_node(lab, "cut-behind")
        events = lab.popen("events", "cut-behind", "--json")
        move = begin_move(lab, "cut-behind", to, "--memory", "postcopy", "--bandwidth", "60mbit", "--streams", "3")
        check(await_stage(move, "pushing", lambda progress: progress["left_bytes"] > 0) is not None, "nothing was left behind")
        time.sleep(1)
        refused = lab.run("resume", "cut-behind", ok=(3,)).stderr
        check("waits for no other node" in refused, refused)
        lab.shell(to, "ip link set eth0 down")
        try:
            deadline = time.time() + 60
            for node in (at, to):  # each as soon as it has noticed
                while (tried := lab.run("lab", "exec", node, "--", godwit, "resume", "cut-behind", ok=None)).returncode != 0:
                    check("waits for no other node" in tried.stderr and time.time() < deadline, f"{node}: {tried.stderr}")
                    time.sleep(0.5)
        finally:
            lab.shell(to, "ip link set eth0 up")
        report = end_move(move, check)
        events.terminate()
        told = [json.loads(line)["what"] for line in events.communicate(timeout=20)[0].splitlines()]
        check(report["state"] == "moved" and lab.where("cut-behind") == to, f"{report['state']}: {report['message']}")
        check("cut off" in told and "connected again" in told, f"events: {told}")
        check(rate(lab, "cut-behind") > 0, "it does not go on")
        end_healthy(lab, "cut-behind")
        return f"{report['total_ms'] / 1000:.0f} s in all, {report['pages']['pushed']} pages pushed, {report['pages']['on_request']} asked for"

    def resident(lab, node):
        """MiB of the program's memory that are on a node."""
        script = "p=$(pgrep -x bench_heap | head -1); [ -z $p ] || awk '/VmRSS/ {print int($2/1024)}' /proc/$p/status"
        return int(lab.shell(node, script).stdout or 0)

    def freed_behind(lab):
        """what has arrived by post-copy is given back at the source while the rest is still pushed, and no more than that"""
        start_writer(lab, "freed-behind", heap, "64", "0.02")
        at, to = lab.where("freed-behind"), next_node(lab, "freed-behind")
        before = resident(lab, at)
        move = begin_move(lab, "freed-behind", to, "--memory", "postcopy", "--bandwidth", "100mbit")
        check(await_stage(move, "pushing", lambda progress: 0 < progress["left_bytes"] < 48 << 20) is not None, "nothing was left behind")
        seen = [(resident(lab, at), resident(lab, to)) for _ in range(3)]  # in this order: what has gone here is there
        report = end_move(move, check)
        check(report["state"] == "moved", f"{report['state']}: {report['message']}")
        here = [before] + [source for source, _ in seen if source > 0]
        check(len(here) > 1 and here[1] < before - 8 and here == sorted(here, reverse=True), f"MiB resident at the source, and there: {seen}; {before} before")
        check(all(source + there >= 63 for source, there in seen if source > 0), f"MiB resident at the source, and there: {seen}")
        pages = report["pages"]
        check(pages["freed"] * 4096 > 40 << 20, f"{pages['freed']} pages given back")
        end_healthy(lab, "freed-behind")
        return f"MiB resident at the source, and there, while pushing: {seen}; {pages['freed']} pages given back meanwhile"

    return {"cut-behind": cut_behind, "freed-behind": freed_behind, "bandwidth": bandwidth, "long-move": long_move, "cut-off": cut_off, "switch": switch, "rewritten": rewritten, "sorted": sorted_stream, "rewritten-beside": rewritten_beside_objects, "report": report, "throttle": throttle, "unslowed": unslowed, "metrics": metrics, "top": top}
