/*
 * xsiftr-guard UNDOFILE RUNDIR NETNS|- PEERNETNS|-
 *
 * NETNS is the interface's network namespace, PEERNETNS that of a veth's far end, - the one it is started in.
 *
 * Gives an interface back when the process that took it cannot. xsiftr starts it before it gives up its own rights, with one end
 * of a socket as standard input whose other end only xsiftr holds. The guard then sits in read(2) with CAP_NET_ADMIN and
 * nothing else until
 *   'u'          xsiftr ends in good order: undo the file, tell what was done on standard output, exit;
 *   'k'          xsiftr has undone everything itself: exit;
 *   end of file  xsiftr is gone, however it went: undo the file, say so on standard error, exit.
 */
#define _GNU_SOURCE
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The kernel takes a dead process's sockets and XDP program away a little after its files: a setting may be refused until then. */
#define ATTEMPTS 40
#define PAUSE_NS 50000000

/* What the latest attempt did, a line each. */
static char report[8192];
static size_t reported;
static const char *done_prefix, *failed_prefix;

static void note(void *ctx, int failed, const char *text) {
  (void)ctx;
  int n = snprintf(report + reported, sizeof report - reported, "%s%s\n", failed ? failed_prefix : done_prefix, text);
  if (n > 0 && (size_t)n < sizeof report - reported) reported += (size_t)n;
}

static int give_up(const char *what) {
  printf("%s: %s\n", what, strerror(errno));
  fflush(stdout);
  return 1;
}

static int enter(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int r = setns(fd, CLONE_NEWNET);
  close(fd);
  return r;
}

/* Leaves CAP_NET_ADMIN permitted and effective, and no way to more. */
static int keep_net_admin(void) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &head, data) != 0) return -1;
  /* Without CAP_SETPCAP the bounding set stays; no_new_privs makes it worthless then. */
  if (data[0].effective & (1u << CAP_SETPCAP)) {
    if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                                     SECBIT_KEEP_CAPS_LOCKED) != 0)
      return -1;
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
      if (prctl(PR_CAPBSET_DROP, cap) != 0) return -1;
    }
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  memset(data, 0, sizeof data);
  data[0].permitted = data[0].effective = 1u << CAP_NET_ADMIN;
  return (int)syscall(SYS_capset, &head, data);
}

static enum undo_status undo_patiently(const char *file, const char *run_dir, int peer_fd) {
  const struct timespec pause = {0, PAUSE_NS};
  for (int i = 1;; i++) {
    reported = 0;
    report[0] = 0;
    enum undo_status r = undo_apply(file, run_dir, peer_fd, note, NULL);
    if (r == UNDO_MALFORMED) note(NULL, 1, "the undo file is malformed");
    if (r != UNDO_FAILED || i == ATTEMPTS) return r;
    nanosleep(&pause, NULL);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "xsiftr-guard UNDOFILE RUNDIR NETNS|- PEERNETNS|-: is started by xsiftr, not by hand\n");
    return 2;
  }
  const char *file = argv[1], *run_dir = argv[2];
  const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2, SIGALRM};
  for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  setsid();
  syscall(SYS_close_range, 3u, ~0u, 0u);
  if (chdir("/") != 0) return give_up("chdir /");
  if (strcmp(argv[3], "-") != 0 && enter(argv[3]) != 0) return give_up(argv[3]);
  int peer_fd = -1;
  if (strcmp(argv[4], "-") != 0 && (peer_fd = undo_socket(argv[4])) < 0) return give_up(argv[4]);
  if (keep_net_admin() != 0) return give_up("giving up capabilities");
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (printf("ready\n") < 0 || fflush(stdout) != 0) return 1;

  char command = 0;
  ssize_t n;
  while ((n = read(STDIN_FILENO, &command, 1)) < 0 && errno == EINTR) continue;
  if (n > 0 && command == 'k') return 0;

  int asked = n > 0 && command == 'u';
  done_prefix = asked ? "done " : "xsiftr-guard: xsiftr is gone; undone: ";
  failed_prefix = asked ? "failed " : "xsiftr-guard: xsiftr is gone; not undone: ";
  enum undo_status r = undo_patiently(file, run_dir, peer_fd);
  FILE *to = asked ? stdout : stderr;
  fputs(report, to);
  if (asked) fputs("end\n", to);
  fflush(to);
  return r == UNDO_DONE || r == UNDO_NONE ? 0 : 1;
}
