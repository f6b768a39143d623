// A plugin of QEMU that counts the instructions that a program executes: all of them, in one
// number, or, with the argument names=on, by mnemonic and by the function's symbol. They are
// written to the file of the argument out=FILE when the program ends.
//
//   cc -O2 -shared -fPIC plugin.c -o plugin.so
//   qemu-aarch64 -plugin plugin.so,out=FILE PROGRAM
//
// Debian 12 has no header for QEMU's plugins. What is declared here is of version 1 of their
// interface: QEMU 7.2, include/qemu/qemu-plugin.h and docs/devel/tcg-plugins.rst.

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;  // a block of translated instructions
struct qemu_plugin_insn;
enum { ADD = 0 };

int qemu_plugin_version = 1;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int, void *, uint64_t);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);

static FILE *out;
static bool names;
static uint64_t executed;
static struct counter {
    char *mnemonic, *symbol;
    uint64_t executed;
    struct counter *next;
} *counters;

static uint64_t *counter(const char *mnemonic, const char *symbol) {
    struct counter *c = counters;
    while (c != NULL && (strcmp(c->mnemonic, mnemonic) != 0 || strcmp(c->symbol, symbol) != 0)) {
        c = c->next;
    }
    if (c == NULL) {
        c = malloc(sizeof *c);  // it stays where it is: translated code has its address
        *c = (struct counter){strdup(mnemonic), strdup(symbol), 0, counters};
        counters = c;
    }
    return &c->executed;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb) {
    const size_t len = qemu_plugin_tb_n_insns(tb);
    (void)id;
    if (!names) {
        qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD, &executed, len);
        return;
    }
    for (size_t i = 0; i < len; ++i) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
        char *text = qemu_plugin_insn_disas(instruction), mnemonic[32] = "?";
        const char *symbol = qemu_plugin_insn_symbol(instruction);
        if (text != NULL) {
            sscanf(text, "%31s", mnemonic);
            free(text);
        }
        qemu_plugin_register_vcpu_insn_exec_inline(
            instruction, ADD, counter(mnemonic, symbol != NULL && *symbol != 0 ? symbol : "?"), 1);
    }
}

static void ended(plugin_id id, void *data) {
    (void)id, (void)data;
    if (!names) {
        fprintf(out, "all %" PRIu64 "\n", executed);
    }
    for (const struct counter *c = counters; c != NULL; c = c->next) {
        fprintf(out, "%s %s %" PRIu64 "\n", c->mnemonic, c->symbol, c->executed);
    }
    fclose(out);
}

int qemu_plugin_install(plugin_id id, const void *emulator, int argc, char **argv) {
    (void)emulator;
    for (int i = 0; i < argc; ++i) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        }
        names |= strcmp(argv[i], "names=on") == 0;
    }
    if (out == NULL) {
        fputs("plugin.so,out=FILE[,names=on]: which file?\n", stderr);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
