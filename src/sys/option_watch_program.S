// The compiled BPF programs of option_watch.bpf.c as bytes.
    .section .rodata
    .globl godwit_option_watch_program, godwit_option_watch_program_end
    .balign 16
godwit_option_watch_program:
    .incbin GODWIT_OPTION_WATCH_OBJECT
godwit_option_watch_program_end:
    .section .note.GNU-stack, "", @progbits
