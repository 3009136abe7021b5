"""Programs of two kinds beside each other, by all four methods: one that computes, one that does nothing but write to
its memory. What each method costs them: how long they stand still, what travels, how much slower they run meanwhile.
"""
import contextlib
import json
import shutil
import subprocess
import tempfile
import time

# name: arguments of bench_heap (MiB, MB/s of writes, hot MiB, threads, steps of computing between writes)
KINDS = {"computes": ["64", "-1", "1", "2", "20000"], "writes": ["256", "-1", "256", "2", "0"]}
METHODS = {"total": [], "precopy": ["--on-timeout", "freeze"], "postcopy": [], "hybrid": []}
# What is drawn: title, column of the result.
PANELS = (("frozen, ms", "freeze"), ("in all, ms", "total"), ("sent, MB", "sent"), ("pages sent again", "redundant"),
          ("speed while it moves, %", "meanwhile"), ("speed afterwards, %", "afterwards"))


@contextlib.contextmanager
def program(tools, job, kind):
    """A program of that kind while the `with` lasts: what asks it for its longest gap and its writes per second since it was asked before."""
    tools.run("run", "-d", "--name", job, "--on", "node1", "--", tools.HEAP, *KINDS[kind])
    tools.wait_for(job, "ready")
    seen = 0

    def ask():
        nonlocal seen
        gap, writes, _, seen = tools.gap(job, seen)
        return gap, writes

    ask()
    yield ask
    tools.run("kill", "-s", "KILL", job)


def speed(ask, seconds=1.5):
    """Over some time from now on."""
    ask()
    time.sleep(seconds)
    return ask()[1]


def measure(tools, kind, method, moves):
    """One line of the table, as a dictionary. `tools`: bench/run's run, wait_for, gap, median, command and HEAP."""
    found = []
    with program(tools, job := f"{kind}-{method}", kind) as ask:
        for i in range(moves):
            before = speed(ask)
            done = tools.run("move", job, "--to", f"node{2 - i % 2}", "--json", "--memory", method, *METHODS[method], check=False)
            report = json.loads(done.stdout.splitlines()[0])
            if report["state"] != "moved":
                raise SystemExit(f"{job}: {report['state']}: {report['message']}")
            gap, meanwhile = ask()
            time.sleep(0.5)
            found.append({"freeze": report["freeze_ms"], "gap": gap, "total": report["total_ms"], "sent": report["bytes_sent"] / 1e6,
                          "redundant": report["pages"]["redundant"], "meanwhile": 100 * meanwhile / before, "afterwards": 100 * speed(ask) / before})
    return {key: tools.median([each[key] for each in found]) for key in found[0]}


def tracking_cost(tools, times):
    """Percent of its speed that a program of either kind keeps while rounds go over a link that costs no processor time
    worth naming: what is left is the cost of write tracking."""
    for kind in KINDS:
        kept = []
        with program(tools, job := f"tracked-{kind}", kind) as ask:
            for _ in range(times):
                before = speed(ask)
                move = subprocess.Popen(tools.command("move", job, "--to", "node2", "--memory", "precopy", "--bandwidth", "40mbit", "--progress", "none"),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.7)
                kept.append(100 * speed(ask) / before)
                tools.run("cancel", job, check=False)
                move.wait(timeout=60)
        print(f"{kind:<10} {'tracked':<10} {tools.median(kept):>57.0f} %   (in rounds at 40 Mbit/s)", flush=True)


def draw(results, path):
    """Bars by gnuplot: a panel for each figure, a group for each kind, a colour for each method."""
    if shutil.which("gnuplot") is None:
        raise SystemExit("--svg needs gnuplot: apt install gnuplot-nox")
    script = [f"set terminal svg size 900,640 font 'sans,11' background '#ffffff'; set output '{path}'",
              "set style data histograms; set style histogram clustered gap 1; set style fill solid 0.85 noborder; set boxwidth 0.9",
              "set grid ytics lc rgb '#dddddd'; set border 3; set tics nomirror; set yrange [0:*]; set key top right",
              "set linetype 1 lc rgb '#4e79a7'; set linetype 2 lc rgb '#f28e2b'; set linetype 3 lc rgb '#59a14f'; set linetype 4 lc rgb '#b07aa1'",
              "set multiplot layout 2,3"]
    with tempfile.NamedTemporaryFile("w", suffix=".dat") as data:
        for index, (_, column) in enumerate(PANELS):
            data.write("\n\n" if index else "")
            for kind in KINDS:
                data.write(" ".join([kind, *(f"{results[kind, method][column]:.3f}" for method in METHODS)]) + "\n")
        data.flush()
        for index, (title, column) in enumerate(PANELS):
            script.append(f"set title '{title}'; {'set logscale y; set yrange [1:*]' if column in ('freeze', 'total') else 'unset logscale y; set yrange [0:*]'}")
            names = " ".join(METHODS)
            script.append(f"plot for [i=2:5] '{data.name}' index {index} using i:xtic(1) title word('{names}', i - 1)")
            script.append("unset key")
        script.append("unset multiplot")
        subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def compare(tools, moves, svg):
    print(f"{'program':<10} {'method':<10} {'freeze':>8} {'gap':>8} {'total ms':>9} {'MB sent':>8} {'redund.':>8} {'meanwhile':>10} {'afterwards':>11}"
          "   its speed while it moves and afterwards, in percent of that before")
    results = {}
    for kind in KINDS:
        for method in METHODS:
            found = results[kind, method] = measure(tools, kind, method, moves)
            print(f"{kind:<10} {method:<10} {found['freeze']:>8.1f} {found['gap']:>8.1f} {found['total']:>9.0f} {found['sent']:>8.0f} {found['redundant']:>8} "
                  f"{found['meanwhile']:>8.0f} % {found['afterwards']:>9.0f} %", flush=True)
    tracking_cost(tools, moves)
    if svg:
        draw(results, svg)
