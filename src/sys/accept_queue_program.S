// The compiled BPF programs of accept_queue.bpf.c as bytes.
    .section .rodata
    .globl godwit_accept_queue_program, godwit_accept_queue_program_end
    .balign 16
godwit_accept_queue_program:
    .incbin GODWIT_ACCEPT_QUEUE_OBJECT
godwit_accept_queue_program_end:
    .section .note.GNU-stack, "", @progbits
