// The code that runs a CallBatch inside a target. Position independent, uses no memory but the call records.
//   r12  first call record    r13  number of records    r15  first call record, kept
// A record (freeze/call_batch.h): number, six arguments, result, reference; 72 bytes. It ends by sending itself SIGSTOP,
// which no handler, mask or "ignore" can change and which the tracer sees as a signal stop and swallows.
    .section .rodata
    .globl godwit_batch_code, godwit_batch_code_end
    .balign 16
godwit_batch_code:
1:  test    %r13, %r13
    jz      3f
    mov     64(%r12), %rbx
    test    %rbx, %rbx
    jz      2f
    mov     %ebx, %ecx
    imul    $72, %rcx, %rcx
    mov     56(%r15,%rcx), %rcx
    shr     $32, %rbx
    mov     %rcx, (%r12,%rbx,8)
2:  mov     0(%r12), %rax
    mov     8(%r12), %rdi
    mov     16(%r12), %rsi
    mov     24(%r12), %rdx
    mov     32(%r12), %r10
    mov     40(%r12), %r8
    mov     48(%r12), %r9
    syscall
    mov     %rax, 56(%r12)
    add     $72, %r12
    dec     %r13
    jmp     1b
3:  mov     $39, %eax               // getpid
    syscall
    mov     %rax, %rbx
    mov     $186, %eax              // gettid
    syscall
    mov     %rbx, %rdi
    mov     %rax, %rsi
    mov     $19, %edx               // SIGSTOP
    mov     $234, %eax              // tgkill
    syscall
    hlt                             // not reached while traced
godwit_batch_code_end:
    .section .note.GNU-stack, "", @progbits
