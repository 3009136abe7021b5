"""Rows of tests/run about what everything else stands on: the lab, the daemon, commands, users, membership."""
import json
import os
import signal
import subprocess
import time


def rows(check, new_lab, godwit, python, programs):
    def traces(lab):
        """What a lab has on the machine."""
        mounts = [line.split()[1] for line in open("/proc/mounts") if lab.name in line]
        groups = [path for path, _, _ in os.walk("/sys/fs/cgroup") if lab.name in path]
        return mounts + groups + [path for path in (f"/run/godwit-lab/{lab.name}",) if os.path.exists(path)]

    def namespaces(lab):
        return {os.readlink(f"/proc/{node['init_pid']}/ns/{kind}").split("[")[1][:-1] for node in lab.status() for kind in ("net", "mnt", "pid", "uts", "ipc")}

    def namespaces_left(known):
        listed = subprocess.run(["lsns", "-n", "-o", "NS"], capture_output=True, text=True, check=True).stdout.split()
        return known & set(listed)

    def wait_until(condition, text, seconds=20):
        deadline = time.time() + seconds
        while not condition():
            check(time.time() < deadline, text)
            time.sleep(0.05)

    def jobs(lab, *options):
        return {job["name"]: job for job in json.loads(lab.run("ps", "--json", *options).stdout)["jobs"]}

    def row_lab(_):
        """nodes of a lab are apart, two labs go side by side, and nothing is left of one, also after a crash"""
        with new_lab("apart", nodes=2) as lab, new_lab("beside", nodes=1) as other:
            lab.shell("node1", "echo one > /root/here; echo both > /shared/there; hostname > /root/name")
            said = lab.shell("node2", "cat /root/here 2> /dev/null; cat /shared/there; hostname; ps -e | wc -l").stdout.split()
            check(said[:2] == ["both", "node2"] and int(said[2]) < 12, f"node2 sees {said}")
            check(lab.shell("node1", "cat /root/here /root/name").stdout.split() == ["one", "node1"], "node1 lost a file")
            check(not os.path.exists("/root/here") and not os.path.exists("/shared/there"), "a node wrote on the machine")
            lab.start("one", "sleep", "1000")
            check("one" in jobs(lab) and jobs(other) == {}, "a lab sees another's jobs")
            alone = dict(os.environ, GODWIT_LAB=lab.name)
            done = subprocess.run([godwit, "move", "one", "--to", "node2"], env=alone, capture_output=True, text=True)
            check(done.returncode == 0 and lab.where("one") == "node2", f"by $GODWIT_LAB: {done.stderr}")
            check(traces(lab) and namespaces_left(namespaces(lab)), "the check would not see what is left")
            known = namespaces(lab) | namespaces(other)
        wait_until(lambda: not namespaces_left(known), "namespaces are left")
        check(traces(lab) + traces(other) == [], f"left: {traces(lab) + traces(other)}")
        crashed = new_lab("crash", nodes=2)
        crashed.__enter__()
        crashed.start("lost", "sleep", "1000")
        known = namespaces(crashed)
        for node in crashed.status():
            for pid in (node["daemon_pid"], node["init_pid"]):
                os.kill(pid, 9)
        crashed.__exit__()
        wait_until(lambda: not namespaces_left(known), "namespaces are left of a crashed lab")
        check(traces(crashed) == [], f"left of a crashed lab: {traces(crashed)}")
        return ""

    def row_restart(_):
        """a daemon that was killed finds its jobs again; they ran meanwhile, and move afterwards"""
        with new_lab("restart", nodes=2) as lab:
            lab.start("patient", f"{programs}/waits", "/shared/stop-patient")
            lab.start("quick", "sh", "-c", "sleep 2; exit 7")
            wait_until(lambda: "ready" in lab.logs("patient"), "never ready")
            os.kill(lab.status()[0]["daemon_pid"], 9)
            time.sleep(2.5)  # the quick one ends without a daemon
            lab.run("lab", "start", "node1")
            check(lab.where("patient") == "node1" and jobs(lab)["patient"]["state"] == "running", f"{jobs(lab)}")
            check(lab.wait("quick", 20) == 7, "the end of a job was missed")
            lab.hop("patient", 4)
            os.kill(lab.status()[1]["daemon_pid"], 9)
            lab.run("lab", "start", "node2")
            wait_until(lambda: lab.run("nodes", "--json").stdout.count('"up":true') == 2, "node2 is not up again")
            lab.hop("patient", 4)
            lab.shell("node1", "touch /shared/stop-patient")
            code = lab.wait("patient", 60)
            check(code == 0 and lab.logs("patient").rstrip().endswith("PASS"), f"exit {code}: {lab.logs('patient')[-300:]}")
        return "8 moves"

    def row_commands(lab):
        """run, exec, kill, stop, wait, logs, inspect and their exit codes, with jobs that are on other nodes"""
        done = lab.run("run", "-i", "--on", "node2", "--env", "COLOUR=blue", "--cwd", "/tmp", "--", "sh", "-c",
                       "read line; echo $line $COLOUR $(pwd); echo wrong >&2; exit 5", text="hello\n", ok=(5,))
        check(done.stdout == "hello blue /tmp\n" and done.stderr == "wrong\n", f"{done}")
        check(lab.run("run", "--", "sh", "-c", "kill -9 $$", ok=None).returncode == 137, "an end by a signal")
        check(lab.run("run", "--", "/no/such/program", ok=None).returncode == 3, "a program that is not there")
        lab.start("shell", "sh", "-c", "trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.05; done")
        wait_until(lambda: "up" in lab.logs("shell"), "never up")
        lab.hop("shell", 2)
        said = lab.run("exec", "shell", "--", "sh", "-c", "hostname; ps -e -o comm= | grep -c sh; exit 4", ok=(4,))
        check(said.stdout.split()[0] == "shell" and int(said.stdout.split()[1]) >= 1, f"exec: {said.stdout}")
        lab.run("kill", "-s", "TERM", "shell")
        check(lab.wait("shell", 20) == 3 and lab.logs("shell") == "up\ntold\n", f"{lab.logs('shell')}")
        view = json.loads(lab.run("inspect", "shell", "--json").stdout)
        check(view["state"] == "ended" and view["exit_code"] == 3, f"{view}")
        lab.start("deaf", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
        wait_until(lambda: "up" in lab.logs("deaf"), "never up")
        lab.run("stop", "--grace", "200ms", "deaf")
        check(lab.wait("deaf", 20) == 137, "stop does not end what ignores SIGTERM")
        check("shell" in jobs(lab, "--all") and "shell" not in jobs(lab), "an ended job in the list")
        missing = lab.run("move", "nobody-knows", "--to", "node2", ok=None)
        check(missing.returncode == 3 and "nobody-knows" in missing.stderr, f"{missing}")
        lab.start("stays", "sleep", "1000")
        nowhere = lab.run("move", "stays", "--to", "node9", ok=None)
        check(nowhere.returncode == 3 and "node9" in nowhere.stderr and lab.where("stays") == "node1", f"{nowhere}")
        lab.run("kill", "-s", "KILL", "stays")
        check(lab.run("run", "--no-such-option", ok=None).returncode == 2, "a wrong command line")
        return ""

    def row_dry_run(lab):
        """--dry-run says what would travel and everything that is in the way, and touches nothing; so does a refusal"""
        script = "import fcntl, socket, time; uevents = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15); " \
                 "open('/tmp/mine', 'w').close(); leased = open('/tmp/mine'); fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_RDLCK); " \
                 "print('up', flush=True); time.sleep(1000)"
        lab.start("blocked", python, "-c", script)
        lab.start("free", "sleep", "1000")
        wait_until(lambda: "up" in lab.logs("blocked"), "never up: " + lab.logs("blocked"))
        plan = json.loads(lab.run("move", "free", "--to", "node2", "--dry-run", "--json").stdout)
        check(plan["state"] == "dry_run" and plan["files"] and not plan["refusals"], f"{plan}")
        check(plan["method"] == "hybrid" and plan["threads"]["total"] == 1 and 0 < plan["predicted_freeze_ms"] <= 10, f"{plan}")
        check(plan["processes"] == 1 and plan["pages"]["total"] > 0 and lab.where("free") == "node1", f"{plan}")
        plan = json.loads(lab.run("move", "blocked", "--to", "node2", "--dry-run", "--json", ok=(3,)).stdout)
        refused = json.loads(lab.run("move", "blocked", "--to", "node2", "--json", ok=(3,)).stdout)
        check(refused["state"] == "refused" and refused["refusals"] == plan["refusals"], f"{plan} {refused}")
        codes = sorted(each["code"] for each in plan["refusals"])
        check(codes == ["descriptor.lease", "socket.netlink"], f"{plan['refusals']}")
        check(all(each["pid"] > 0 and each["fd"] > 2 and each["remedy"] for each in plan["refusals"]), f"{plan['refusals']}")
        check(lab.where("blocked") == "node1" and jobs(lab)["blocked"]["state"] == "running", "it was touched")
        for job in ("blocked", "free"):
            lab.run("kill", "-s", "KILL", job)
        return f"refused: {', '.join(codes)}"

    def row_users(lab):
        """users see and move only their own jobs, and keep their ids on every node"""
        nobody = ("lab", "exec", "node1", "--", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "godwit")
        lab.start("of-root", "sleep", "1000")
        lab.run(*nobody, "run", "-d", "--name", "of-nobody", "--cwd", "/tmp", "--", "sh", "-c", "while sleep 0.1; do id -u; done")
        check("of-root" not in lab.run(*nobody, "ps").stdout and "of-nobody" in lab.run(*nobody, "ps").stdout, "ps")
        for command in (("move", "of-root", "--to", "node2"), ("kill", "of-root"), ("logs", "of-root"), ("exec", "of-root", "--", "id"),
                        ("inspect", "of-root"), ("trace", "of-root"), ("stop", "of-root"), ("report", "of-root")):
            done = lab.run(*nobody, *command, ok=None)
            check(done.returncode in (1, 3) and "of-root" in done.stderr, f"{command}: {done}")
        asked = lab.run(*nobody, "run", "-d", "--user", "root", "--", "id", ok=None)
        check(asked.returncode != 0, "anybody may be root")
        lab.run(*nobody, "move", "of-nobody", "--to", "node2")
        lab.run(*nobody, "move", "of-nobody", "--to", "node1")
        check(jobs(lab)["of-root"]["node"] == "node1" and jobs(lab)["of-nobody"]["user"] == "nobody", f"{jobs(lab)}")
        time.sleep(0.3)
        check(set(lab.logs("of-nobody").split()) == {"65534"}, f"ids: {set(lab.logs('of-nobody').split())}")
        ids = lab.run(*nobody, "exec", "of-nobody", "--", "id", "-u").stdout
        check(ids == "65534\n", f"exec runs as {ids}")
        for job in ("of-root", "of-nobody"):
            lab.run("kill", "-s", "KILL", job)
        return ""

    def pids_of(lab, job, part):
        """`part`: "init", or "procs" for the program; by their pids on this machine."""
        place = f"{json.loads(lab.run('inspect', job, '--json').stdout)['job']}/{part}"
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
                    if f"/{lab.name}/" in (text := file.read()) and place in text:
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def row_endings(lab):
        """programs that end in the midst of a move, at every moment of it: each is told of as ended, with its exit code"""
        moved = 0
        for number in range(40):
            job = f"ending-{number}"
            lab.start(job, "sh", "-c", f"sleep {0.03 + number * 0.003:.3f}; exit 7")
            done = lab.run("move", job, "--to", "node2", "--json", ok=None)
            moved += done.returncode == 0
            code = lab.wait(job, 10)
            check(code == 7, f"{job} ended with {code} instead of 7; its move: {done.stdout[:300]} {done.stderr[-300:]}")
        # At the worst moment: godwit-init learns of the end and is asked for the state of the frozen job at once.
        lab.start("ending", python, "-c", "import time; room = bytearray(b'x' * (4 << 20)); print('up', flush=True); time.sleep(1000)")
        wait_until(lambda: "up" in lab.logs("ending"), "never up")
        init, program = pids_of(lab, "ending", "init"), pids_of(lab, "ending", "procs")
        check(len(init) == 1 and program, f"{init} {program}")
        move = lab.popen("move", "ending", "--to", "node2", "--bandwidth", "16mbit")
        time.sleep(1)
        os.kill(init[0], signal.SIGSTOP)
        try:
            for pid in program:
                os.kill(pid, signal.SIGKILL)
            time.sleep(4)
        finally:
            os.kill(init[0], signal.SIGCONT)
        said = move.communicate(timeout=30)
        code = lab.wait("ending", 10)
        check(code == 128 + 9 and move.returncode != 0, f"ended with {code}; its move: {move.returncode} {said}")
        return f"{moved} of 40 had moved before they ended; at the worst moment: {said[1].strip()[-250:]}"

    def row_join(_):
        """a machine joins a cluster with a token, once, and a job moves to it; a wrong token is turned away"""
        with new_lab("join", nodes=3) as lab:
            os.kill(lab.status()[2]["daemon_pid"], 9)
            address = json.loads(lab.run("lab", "exec", "node3", "--", "ip", "-j", "-4", "address", "show", "eth0").stdout)
            address = address[0]["addr_info"][0]["local"]
            lab.shell("node3", "rm -rf /var/lib/godwit/* /etc/godwit")
            command = lab.run("cluster", "token").stdout.split()  # godwit join ADDRESS TOKEN
            check(command[:2] == ["godwit", "join"] and len(command) == 4, f"{command}")
            token = command[3]
            wrong = token[:-4] + ("aaaa" if token[-4:] != "aaaa" else "bbbb")
            join = ("lab", "exec", "node3", "--", "godwit", "join", "--name", "newcomer", "--address", address, command[2])
            check(lab.run(*join, wrong, ok=None).returncode != 0, "a wrong token is taken")
            lab.run(*join, token)
            lab.shell("node3", "setsid godwitd > /run/godwit/godwitd.log 2>&1 < /dev/null &")
            wait_until(lambda: any(n["node"] == "newcomer" and n["up"] for n in json.loads(lab.run("nodes", "--json").stdout)["nodes"]),
                       "the newcomer never comes up")
            again = lab.run(*join, token, ok=None)
            check(again.returncode != 0, "a token is taken twice")
            lab.start("guest", "sh", "-c", "while sleep 0.05; do date +%s%N; done")
            lab.run("move", "guest", "--to", "newcomer")
            check(lab.where("guest") == "newcomer", "it is not there")
            lab.run("move", "guest", "--to", "node2")
            lab.run("kill", "-s", "KILL", "guest")
        return ""

    return {"lab": row_lab, "restart": row_restart, "commands": row_commands, "dry-run": row_dry_run, "users": row_users, "join": row_join,
            "endings": row_endings}
