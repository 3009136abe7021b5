"""Rows of tests/run for real programs that hold, or wait for, locks of files while they move."""
import re
import time

HOLDER = """
import os, sqlite3, sys, time
db = sqlite3.connect("/shared/held.db", isolation_level=None)
db.execute("create table t (n integer)")
db.execute("begin immediate")
print("ready", flush=True)
n = 0
while not os.path.exists(sys.argv[1]):
    db.execute("insert into t values (?)", (n,))
    n += 1
    time.sleep(0.005)
db.execute("commit")
print("PASS", n, flush=True)
"""
# Tries to write what the other writes, until it can.
RIVAL = """
import os, sqlite3, sys, time
db = sqlite3.connect("/shared/held.db", isolation_level=None, timeout=0)
tries = 0
while True:
    over = os.path.exists(sys.argv[1])
    try:
        db.execute("begin immediate")
        print(tries, "over" if over else "early", db.execute("select count(*), sum(n) from t").fetchone())
        sys.exit()
    except sqlite3.OperationalError as reason:
        assert "locked" in str(reason), reason
    tries += 1
    time.sleep(0.0005)
"""


def rows(check, average, python, programs, make_lab, faults):
    """The rows by name; `check`, `average`, `make_lab` and `faults` are tests/run's own."""

    def until_ready(lab, job):
        deadline = time.time() + 20
        while "ready" not in lab.logs(job):
            check(time.time() < deadline, "never ready: " + lab.logs(job)[-300:])
            time.sleep(0.05)

    def row_sqlite(lab):
        """a transaction of SQLite stays the only one while its program moves, whoever tries"""
        lab.shell("node1", "rm -f /shared/held.db* /shared/stop-sqlite")
        lab.file("/shared/holder.py", HOLDER)
        lab.file("/shared/rival.py", RIVAL)
        lab.start("sqlite", python, "/shared/holder.py", "/shared/stop-sqlite")
        until_ready(lab, "sqlite")
        rival = lab.popen("lab", "exec", "node3", "--", python, "/shared/rival.py", "/shared/stop-sqlite")
        freezes = lab.hop("sqlite", 10)
        check(rival.poll() is None, f"the lock was free: {rival.communicate()}" if rival.poll() is not None else "")
        lab.shell("node1", "touch /shared/stop-sqlite")
        code = lab.wait("sqlite", 30)
        output = lab.logs("sqlite")
        check(code == 0 and "PASS" in output, f"exit {code}: {output[-300:]}")
        count = int(output.split()[-1])
        said, trouble = rival.communicate(timeout=30)
        check(f"over ({count}, {count * (count - 1) // 2})" in said, f"the other had it too soon, or sees another content: {said} {trouble}")
        return f"freeze {average(freezes):.1f} ms on average, {said.split()[0]} tries of the other in vain"

    def row_flock(lab):
        """flock(1) keeps its lock from one that waits outside; one that waits inside gets it in the end"""
        lab.shell("node1", "rm -f /shared/stop-flock /shared/free; touch /shared/guarded /shared/other")
        lab.start("keeper", "flock", "/shared/guarded", "sh", "-c", "echo ready; while [ ! -e /shared/stop-flock ]; do sleep 0.05; done")
        until_ready(lab, "keeper")
        outside = lab.popen("lab", "exec", "node2", "--", "flock", "/shared/guarded", "echo", "had")
        holder = lab.popen("lab", "exec", "node3", "--", "flock", "/shared/other", "sh", "-c", "echo held; until [ -e /shared/free ]; do sleep 0.02; done")
        check(holder.stdout.readline() == "held\n", "no lock outside")
        lab.start("patient-flock", "flock", "/shared/other", "echo", "got", node="node2")
        freezes = []
        for _ in range(10):
            freezes += lab.hop("keeper", 1) + lab.hop("patient-flock", 1)
            check(outside.poll() is None, "the lock was free while its program moved")
            check(lab.run("lab", "exec", "node3", "--", "flock", "-n", "/shared/guarded", "true", ok=(1,)).returncode == 1, "")
            check("got" not in lab.logs("patient-flock"), "two have the lock")
        lab.shell("node1", "touch /shared/free /shared/stop-flock")
        check(lab.wait("keeper", 20) == 0, "the keeper failed")
        check(outside.communicate(timeout=20)[0] == "had\n", "the lock is not free afterwards")
        check(lab.wait("patient-flock", 20) == 0 and lab.logs("patient-flock") == "got\n", lab.logs("patient-flock"))
        holder.wait(20)
        return f"freeze {average(freezes):.1f} ms on average"

    def row_lock_faults(_):
        """a worker killed, or the connection cut, around the handing over of locks: the copy that is left has them"""
        # Not where the destination's worker is killed with the switchover made and the locks not taken.
        chosen = [name for name in faults() if re.search(r"source\.(state_sent|memory_sent|ready|committed)|destination\.(restored|ready|committed\.cut|running)", name)]
        check(len(chosen) >= 12, f"faults have other names: {faults()}")
        for name in chosen:
            with make_lab("lockfault", fault=name, nodes=2) as lab:
                for program in ("flocks", "record_locks"):
                    lab.start(program, f"{programs}/{program}", "/shared/stop")
                    until_ready(lab, program)
                    lab.run("move", program, "--to", "node2", ok=None, timeout=90)
                time.sleep(0.5)
                lab.shell("node1", "touch /shared/stop")
                for program in ("flocks", "record_locks"):
                    code = lab.wait(program, 60)
                    check(code == 0 and lab.logs(program).rstrip().endswith("PASS"), f"{name}: exit {code}: {lab.logs(program)[-300:]}")
        return f"{len(chosen)} faults"

    return {"lock_faults": row_lock_faults, "sqlite": row_sqlite, "flock": row_flock}
