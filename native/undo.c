#define _GNU_SOURCE
#include "undo.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A table of 4096 slots with four-digit queue numbers takes 20 KiB. */
#define FILE_MAX 65536
#define ACTIONS_MAX 64
#define SLOTS_MAX 4096

/* Beside 0 and -1: what was to be set back is no more. */
#define GONE 1

enum kind { MTU, INDIR, CHANNELS, PEER, UNLINK };

struct device {
  char name[IFNAMSIZ];
  uint32_t index;
};

struct action {
  enum kind kind;
  char *text; /* the line's arguments */
  uint32_t n[4];
  /* PEER only */
  const char *netns;
  uint64_t inode;
  struct device peer;
};

struct undo {
  const char *run_dir;
  undo_line line;
  void *ctx;
  int fd;      /* socket for the ioctls */
  int peer_fd; /* the same in the peer's namespace, -1: none yet */
  int failed;
  struct device dev;
  unsigned count;
  struct action actions[ACTIONS_MAX];
};

static void report(struct undo *u, int failed, const char *what, const char *why) {
  char text[512];
  snprintf(text, sizeof text, failed ? "%s: %s" : "%s%s", what, why);
  if (failed) u->failed = 1;
  if (u->line) u->line(u->ctx, failed, text);
}

/* Reads one unsigned decimal number; NULL unless there is one within 32 bits. */
static const char *number(const char *s, uint32_t *out) {
  uint64_t v = 0;
  const char *p = s;
  while (*p >= '0' && *p <= '9' && p - s < 10) v = v * 10 + (uint64_t)(*p++ - '0');
  if (p == s || v > UINT32_MAX) return NULL;
  *out = (uint32_t)v;
  return p;
}

/* Reads exactly `count` numbers, one blank between them, nothing after. */
static int numbers(const char *s, uint32_t *out, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    if (!(s = number(s, &out[i])) || *s != (i + 1 < count ? ' ' : '\0')) return -1;
    s++;
  }
  return 0;
}

/* Reads 1..SLOTS_MAX numbers and returns how many, -1 when it is no such list. */
static int slots(const char *s, uint32_t *out) {
  for (int n = 0; n < SLOTS_MAX; s++) {
    if (!(s = number(s, &out[n++]))) return -1;
    if (*s == '\0') return n;
    if (*s != ' ') return -1;
  }
  return -1;
}

/* What follows `word` and one blank in the line, or NULL when it begins otherwise. */
static char *after(char *line, const char *word) {
  size_t n = strlen(word);
  return strncmp(line, word, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}

/* Reads an interface's name and index; what follows them goes to `rest` (NULL: nothing may follow). */
static int device(char *s, struct device *dev, char **rest) {
  char *blank = strchr(s, ' ');
  if (!blank || blank == s || blank - s >= IFNAMSIZ) return -1;
  memcpy(dev->name, s, (size_t)(blank - s));
  char *end = (char *)number(blank + 1, &dev->index);
  if (!end || *end != (rest ? ' ' : '\0')) return -1;
  if (rest) *rest = end + 1;
  return 0;
}

/* `PATH|- INODE NAME INDEX RX TX OTHER COMBINED` */
static int peer(char *s, struct action *a) {
  char *inode = strchr(s, ' ');
  if (!inode) return -1;
  *inode++ = 0;
  a->netns = s;
  char *name;
  a->inode = strtoull(inode, &name, 10);
  if (name == inode || *name != ' ') return -1;
  char *counts;
  return device(name + 1, &a->peer, &counts) == 0 ? numbers(counts, a->n, 4) : -1;
}

/* A file directly in the run folder. */
static int in_run_dir(const char *path, const char *run_dir) {
  size_t n = strlen(run_dir);
  if (n == 0 || strncmp(path, run_dir, n) != 0 || path[n] != '/') return 0;
  const char *name = path + n + 1;
  return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int parse_action(struct undo *u, char *line) {
  uint32_t table[SLOTS_MAX];
  if (u->count == ACTIONS_MAX) return -1;
  struct action *a = &u->actions[u->count++];
  if ((a->text = after(line, "mtu"))) {
    a->kind = MTU;
    return numbers(a->text, a->n, 1);
  }
  if ((a->text = after(line, "channels"))) {
    a->kind = CHANNELS;
    return numbers(a->text, a->n, 4);
  }
  if ((a->text = after(line, "peer"))) {
    a->kind = PEER;
    return peer(a->text, a);
  }
  if ((a->text = after(line, "indir"))) {
    a->kind = INDIR;
    return strcmp(a->text, "default") == 0 || slots(a->text, table) > 0 ? 0 : -1;
  }
  if ((a->text = after(line, "unlink"))) {
    a->kind = UNLINK;
    return in_run_dir(a->text, u->run_dir) ? 0 : -1;
  }
  return -1;
}

/* Splits the text into lines and checks all of them before anything is undone. */
static int parse(struct undo *u, char *text, size_t length) {
  if (memchr(text, 0, length) || length < 4 || memcmp(text + length - 4, "end\n", 4) != 0) return -1;
  unsigned row = 0;
  for (char *line = text, *next; line < text + length; line = next, row++) {
    char *nl = memchr(line, '\n', (size_t)(text + length - line));
    if (!nl) return -1;
    *nl = 0;
    next = nl + 1;
    char *rest;
    switch (row) {
      case 0:
        if (strcmp(line, "xsiftr-undo 1") != 0) return -1;
        break;
      case 1: /* the namespace is entered by the caller */
        if (!after(line, "netns")) return -1;
        break;
      case 2:
        if (!(rest = after(line, "iface")) || device(rest, &u->dev, NULL) != 0) return -1;
        break;
      case 3: /* whether the owner lives is for the caller to know */
        if (!after(line, "owner")) return -1;
        break;
      default:
        if (strcmp(line, "end") == 0) return next == text + length ? 0 : -1;
        if (parse_action(u, line) != 0) return -1;
    }
  }
  return -1;
}

static int ethtool(int fd, const struct device *dev, void *command) {
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  memcpy(ifr.ifr_name, dev->name, IFNAMSIZ);
  ifr.ifr_data = command;
  return ioctl(fd, SIOCETHTOOL, &ifr);
}

/* Whether the name still means the interface that was changed: another one has settings of its own. */
static int same(int fd, const struct device *dev) {
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  memcpy(ifr.ifr_name, dev->name, IFNAMSIZ);
  return ioctl(fd, SIOCGIFINDEX, &ifr) == 0 && (uint32_t)ifr.ifr_ifindex == dev->index;
}

static int undo_mtu(struct undo *u, const struct action *a) {
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  memcpy(ifr.ifr_name, u->dev.name, IFNAMSIZ);
  ifr.ifr_mtu = (int)a->n[0];
  return ioctl(u->fd, SIOCSIFMTU, &ifr);
}

static int undo_channels(int fd, const struct device *dev, const struct action *a) {
  struct ethtool_channels c;
  memset(&c, 0, sizeof c);
  c.cmd = ETHTOOL_GCHANNELS;
  if (ethtool(fd, dev, &c) != 0) return -1;
  /* Setting what is set already would reset some NICs and take their link down. */
  if (c.rx_count == a->n[0] && c.tx_count == a->n[1] && c.other_count == a->n[2] && c.combined_count == a->n[3]) return 0;
  c.cmd = ETHTOOL_SCHANNELS;
  c.rx_count = a->n[0];
  c.tx_count = a->n[1];
  c.other_count = a->n[2];
  c.combined_count = a->n[3];
  return ethtool(fd, dev, &c);
}

int undo_socket(const char *netns) {
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) return -1;
  int there = open(netns, O_RDONLY | O_CLOEXEC);
  int fd = -1;
  if (there >= 0 && setns(there, CLONE_NEWNET) == 0) {
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int err = errno;
    /* Coming back needs what going needed, and that is still held. */
    if (setns(home, CLONE_NEWNET) != 0) err = errno;
    errno = err;
  }
  int err = errno;
  if (there >= 0) close(there);
  close(home);
  errno = err;
  return fd;
}

/* The far end of a veth pair, perhaps in another namespace; GONE needs nothing, and is not worth a line. */
static int undo_peer(struct undo *u, const struct action *a) {
  int fd = u->fd;
  if (strcmp(a->netns, "-") != 0) {
    struct stat st;
    if (stat(a->netns, &st) != 0 || (uint64_t)st.st_ino != a->inode) return GONE;
    if (u->peer_fd < 0 && (u->peer_fd = undo_socket(a->netns)) < 0) return -1;
    fd = u->peer_fd;
  }
  return same(fd, &a->peer) ? undo_channels(fd, &a->peer, a) : GONE;
}

static int undo_indir(struct undo *u, const struct action *a) {
  /* struct ethtool_rxfh_indir: command, size, then a word for each slot. */
  uint32_t t[2 + SLOTS_MAX];
  t[1] = 0;
  if (strcmp(a->text, "default") != 0) {
    t[0] = ETHTOOL_GRXFHINDIR;
    if (ethtool(u->fd, &u->dev, t) != 0) return -1;
    if (slots(a->text, t + 2) != (int)t[1]) {
      errno = EINVAL;
      return -1;
    }
  }
  /* Size 0 asks for the driver's own default. */
  t[0] = ETHTOOL_SRXFHINDIR;
  return ethtool(u->fd, &u->dev, t);
}

static int undo_unlink(const struct action *a) {
  return unlink(a->text) == 0 || errno == ENOENT ? 0 : -1;
}

static void undo_one(struct undo *u, const struct action *a) {
  char what[256];
  int r = 0;
  switch (a->kind) {
    case MTU:
      snprintf(what, sizeof what, "mtu %u", a->n[0]);
      r = undo_mtu(u, a);
      break;
    case CHANNELS:
      snprintf(what, sizeof what, "channels rx %u tx %u other %u combined %u", a->n[0], a->n[1], a->n[2], a->n[3]);
      r = undo_channels(u->fd, &u->dev, a);
      break;
    case PEER:
      snprintf(what, sizeof what, "peer %s channels rx %u tx %u other %u combined %u", a->peer.name, a->n[0], a->n[1], a->n[2], a->n[3]);
      r = undo_peer(u, a);
      break;
    case INDIR:
      snprintf(what, sizeof what, "RSS indirection table%s", strcmp(a->text, "default") == 0 ? " (default)" : "");
      r = undo_indir(u, a);
      break;
    case UNLINK: /* tidying up is not worth a line */
      if (undo_unlink(a) != 0) report(u, 1, a->text, strerror(errno));
      return;
  }
  if (r == 0) report(u, 0, what, "");
  else if (r != GONE) report(u, 1, what, strerror(errno));
}

/* Opens and reads the whole file; returns its length, 0 when there is none, -1 when it must not be trusted. */
static ssize_t load(const char *path, char *text) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return errno == ENOENT ? 0 : -1;
  struct stat st;
  ssize_t length = -1;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == geteuid() || st.st_uid == 0) &&
      (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && st.st_size > 0 && st.st_size < FILE_MAX) {
    length = read(fd, text, FILE_MAX);
    if (length != st.st_size) length = -1;
  }
  close(fd);
  return length;
}

enum undo_status undo_apply(const char *path, const char *run_dir, int peer_fd, undo_line line, void *ctx) {
  char text[FILE_MAX];
  struct undo u;
  memset(&u, 0, sizeof u);
  u.run_dir = run_dir;
  u.line = line;
  u.ctx = ctx;
  u.peer_fd = peer_fd;
  ssize_t length = load(path, text);
  if (length == 0) return UNDO_NONE;
  if (length < 0 || parse(&u, text, (size_t)length) != 0) return UNDO_MALFORMED;

  u.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (u.fd < 0) {
    report(&u, 1, "socket", strerror(errno));
    return UNDO_FAILED;
  }
  int gone = !same(u.fd, &u.dev);
  for (unsigned i = u.count; i-- > 0;) {
    enum kind kind = u.actions[i].kind;
    if (!gone || kind == UNLINK || kind == PEER) undo_one(&u, &u.actions[i]);
  }
  close(u.fd);
  if (u.peer_fd >= 0 && peer_fd < 0) close(u.peer_fd);
  if (!u.failed && unlink(path) != 0 && errno != ENOENT) report(&u, 1, path, strerror(errno));
  return u.failed ? UNDO_FAILED : UNDO_DONE;
}
