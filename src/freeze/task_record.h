/* One thread as the kernel keeps it: what kernel_tasks.bpf.c writes and kernel_tasks.cc reads. Plain C, the same layout
 * for both: eight-byte fields first. Times in nanoseconds. */
#pragma once

struct godwit_task_record {
  /* of the thread */
  unsigned long long credentials_identity; /* changes with every change of credentials; means nothing else */
  unsigned long long clear_child_tid;
  unsigned long long alternate_stack, alternate_stack_size;
  unsigned long long timer_slack;
  unsigned long long thread_pending, process_pending; /* signal sets: bit n-1 for signal n */
  unsigned long long blocked;                         /* as PTRACE_GETSIGMASK shows it */
  unsigned long long switches;                        /* how often it gave the processor away or lost it */
  /* when it last went to sleep: scheduler clock at its last start + how long it ran */
  unsigned long long last_start, ran_since;
  unsigned long long now_monotonic; /* of the host, when this record was written */
  /* user registers, good while it sleeps in a system call */
  unsigned long long instruction, stack, call_number, arguments[6];
  /* task->restart_block: a union, the function tells which of its readings counts */
  unsigned long long nanosleep_rest, nanosleep_expires;                /* pointer of the program; host clock */
  unsigned long long futex_address, futex_expires;                     /* host clock */
  unsigned long long poll_descriptors, poll_seconds, poll_nanoseconds; /* host CLOCK_MONOTONIC */
  int tid, pid;                                                        /* in the reader's pid namespace */
  int inner_tid;                                                       /* in its own, the innermost */
  unsigned int state;
  int parent_death_signal;
  unsigned int securebits, no_new_privs;
  unsigned int alternate_stack_flags;
  int nanosleep_clock, nanosleep_type, poll_count, poll_has_timeout;
  unsigned int futex_value, futex_flags, futex_bitset;
  unsigned int scheduling_policy, scheduling_priority;
  unsigned int next_pid; /* the least number that the next process or thread of the innermost namespace can get */
  char name[16];
  char restart_function[32]; /* its name in the kernel, cut to fit */
};

/* What a process has once, as its first thread shows it. */
struct godwit_signal_action {
  unsigned long long handler, flags, restorer, mask; /* as rt_sigaction(2) takes them on x86-64 */
};
struct godwit_process_facts {
  unsigned long long brk;
  int pid;             /* in the reader's pid namespace */
  unsigned int timers; /* not 0: timers of its own are set or were, and only the process itself knows the rest */
  unsigned int umask, dumpable, subreaper;
  unsigned short protection_keys; /* bit n: key n is allocated */
  short execute_only_key;         /* -1: none */
};
struct godwit_process_record {
  struct godwit_process_facts facts;
  struct godwit_signal_action actions[64]; /* of signal 1 first */
};

/* One open descriptor of a process, as its first thread has it. */
struct godwit_descriptor_record {
  unsigned long long description; /* the same number: the same open file description; means nothing else */
  unsigned long long inode, position;
  unsigned long long operations, object; /* the kernel's addresses, for comparing: its kind, and what it is open on */
  unsigned long long count;              /* of an event counter; of anything else without meaning, as what follows */
  unsigned int count_flags;
  unsigned int pipe_pages, pipe_holds; /* of a pipe: its size, and whether anything is in it */
  unsigned int device;                 /* of the file system, as the kernel numbers it */
  int number;                          /* of the descriptor */
  unsigned int flags;
  unsigned int close_on_exec, has_locks; /* has_locks: or had some */
};
