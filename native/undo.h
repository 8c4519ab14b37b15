/*
 * Undo files: what a process changed on an interface, in a form that a program without Node can undo. src/driver/undo.ts
 * writes them and describes the format; this is the one reader, compiled into the addon and into xsiftr-guard.
 */
#ifndef XSIFTR_UNDO_H
#define XSIFTR_UNDO_H

#ifdef __cplusplus
extern "C" {
#endif

enum undo_status {
  UNDO_DONE = 0,      /* everything is undone, the file is removed */
  UNDO_FAILED = 1,    /* something could not be undone, the file is kept */
  UNDO_MALFORMED = 2, /* nothing was changed, the file is kept */
  UNDO_NONE = 3,      /* there is no such file: nothing to do */
};

/* Receives one line for each setting undone (failed == 0), and for each setting or file that could not be (failed != 0). */
typedef void (*undo_line)(void *ctx, int failed, const char *text);

/*
 * Undoes the file at `path` in the calling thread's network namespace, from its last line to its first, and removes it when
 * all went well. The file must be a regular one of ours or root's that nobody else can write. `unlink` lines may name files
 * directly in `run_dir` only. Interfaces that are gone, or whose name another one has now, count as undone. `peer_fd` is a
 * socket of undo_socket() in the namespace that `peer` lines name; with -1 that namespace is entered, which needs
 * CAP_SYS_ADMIN. Uses no heap and some 96 KiB of stack. The settings need CAP_NET_ADMIN.
 */
enum undo_status undo_apply(const char *path, const char *run_dir, int peer_fd, undo_line line, void *ctx);

/* A socket in the network namespace at `netns`, through which its interfaces can be set from outside; -1 with errno. */
int undo_socket(const char *netns);

#ifdef __cplusplus
}
#endif
#endif
