/* The client of the socket endpoint: each call is one request and one reply (docs/endpoint.md). C11 and POSIX, nothing else. */
#define _GNU_SOURCE
#include "xsiftr-client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
  OP_SOCKET = 1, OP_BIND, OP_LISTEN, OP_ACCEPT, OP_CONNECT, OP_RECV, OP_SEND, OP_FCNTL, OP_IOCTL, OP_CLOSE, OP_SHUTDOWN, OP_GETSOCKOPT,
  OP_SETSOCKOPT, OP_POLL, OP_GETSOCKNAME, OP_GETPEERNAME, OP_SENDMSG, OP_RECVMSG, OP_LINKSYNC = 20, OP_CLOCK
};

enum { REQUEST = 24, REPLY = 16 };

/* What an operation is given, and where its reply goes. */
struct call {
  uint16_t op;
  int32_t fd, a, b, c;
  /* Pieces of the payload. */
  const struct iovec *out;
  int pieces;
  /* Room for the payload of the reply; what is longer is thrown away. */
  void *in;
  size_t room;
  /* From the reply. */
  int32_t aux;
  size_t got;
};

static void put32(unsigned char *p, uint32_t v) {
  p[0] = v >> 24;
  p[1] = v >> 16;
  p[2] = v >> 8;
  p[3] = v;
}

static uint32_t get32(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int write_all(int ep, const void *data, size_t len) {
  const char *p = data;
  while (len > 0) {
    ssize_t n = send(ep, p, len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

static int read_all(int ep, void *data, size_t len) {
  char *p = data;
  while (len > 0) {
    ssize_t n = recv(ep, p, len, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (n == 0) errno = EPIPE;
      return -1;
    }
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

/* Sends the request and waits for its reply: what the call returns, with errno. */
static int32_t ask(int ep, struct call *c) {
  unsigned char head[REQUEST], reply[REPLY], rest[512];
  size_t len = 0;
  for (int i = 0; i < c->pieces; i++) len += c->out[i].iov_len;
  /* The endpoint would end the connection. */
  if (len > XS_PAYLOAD_MAX) {
    errno = EINVAL;
    return -1;
  }
  put32(head, (uint32_t)(REQUEST - 4 + len));
  put32(head + 4, (uint32_t)c->op << 16);
  put32(head + 8, (uint32_t)c->fd);
  put32(head + 12, (uint32_t)c->a);
  put32(head + 16, (uint32_t)c->b);
  put32(head + 20, (uint32_t)c->c);
  if (write_all(ep, head, REQUEST) < 0) return -1;
  for (int i = 0; i < c->pieces; i++)
    if (write_all(ep, c->out[i].iov_base, c->out[i].iov_len) < 0) return -1;
  if (read_all(ep, reply, REPLY) < 0) return -1;
  size_t left = get32(reply);
  if (left < REPLY - 4) {
    errno = EPROTO;
    return -1;
  }
  left -= REPLY - 4;
  c->got = left < c->room ? left : c->room;
  if (c->got > 0 && read_all(ep, c->in, c->got) < 0) return -1;
  for (left -= c->got; left > 0;) {
    size_t n = left < sizeof rest ? left : sizeof rest;
    if (read_all(ep, rest, n) < 0) return -1;
    left -= n;
  }
  c->aux = (int32_t)get32(reply + 12);
  int32_t ret = (int32_t)get32(reply + 4);
  if (ret < 0) errno = (int)get32(reply + 8);
  return ret;
}

/* An operation with numbers only. */
static int plain(int ep, uint16_t op, int fd, int a, int b) {
  struct call c = {.op = op, .fd = fd, .a = a, .b = b};
  return ask(ep, &c);
}

/* One that is given bytes. */
static int giving(int ep, uint16_t op, int fd, int a, int b, const void *data, size_t len) {
  struct iovec v = {(void *)data, len};
  struct call c = {.op = op, .fd = fd, .a = a, .b = b, .out = &v, .pieces = 1};
  return ask(ep, &c);
}

/* One that gives an address, cut to the caller's room as the kernel cuts it. */
static int address(int ep, uint16_t op, int fd, int a, struct sockaddr *addr, socklen_t *addrlen) {
  struct sockaddr_storage sa;
  struct call c = {.op = op, .fd = fd, .a = a, .in = &sa, .room = sizeof sa};
  int ret = ask(ep, &c);
  if (ret < 0 || addr == NULL || addrlen == NULL) return ret;
  memcpy(addr, &sa, c.got < *addrlen ? c.got : *addrlen);
  *addrlen = (socklen_t)c.got;
  return ret;
}

int xs_open(const char *path) {
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof sa.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(sa.sun_path, path);
  int ep = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (ep < 0) return -1;
  if (connect(ep, (struct sockaddr *)&sa, sizeof sa) < 0) {
    int e = errno;
    close(ep);
    errno = e;
    return -1;
  }
  return ep;
}

int xs_socket(int ep, int domain, int type, int protocol) {
  struct call c = {.op = OP_SOCKET, .fd = -1, .a = domain, .b = type, .c = protocol};
  return ask(ep, &c);
}

int xs_bind(int ep, int fd, const struct sockaddr *addr, socklen_t addrlen) {
  return giving(ep, OP_BIND, fd, 0, 0, addr, addrlen);
}

int xs_listen(int ep, int fd, int backlog) { return plain(ep, OP_LISTEN, fd, backlog, 0); }

int xs_accept4(int ep, int fd, struct sockaddr *addr, socklen_t *addrlen, int flags) {
  return address(ep, OP_ACCEPT, fd, flags, addr, addrlen);
}

int xs_connect(int ep, int fd, const struct sockaddr *addr, socklen_t addrlen) {
  return giving(ep, OP_CONNECT, fd, 0, 0, addr, addrlen);
}

ssize_t xs_recv(int ep, int fd, void *buf, size_t len, int flags) {
  int want = len > XS_PAYLOAD_MAX ? XS_PAYLOAD_MAX : (int)len;
  struct call c = {.op = OP_RECV, .fd = fd, .a = want, .b = flags, .in = buf, .room = len};
  return ask(ep, &c);
}

ssize_t xs_send(int ep, int fd, const void *buf, size_t len, int flags) {
  return giving(ep, OP_SEND, fd, flags, 0, buf, len > XS_PAYLOAD_MAX ? XS_PAYLOAD_MAX : len);
}

ssize_t xs_sendmsg(int ep, int fd, const struct msghdr *msg, int flags) {
  size_t n = msg->msg_iovlen, len = msg->msg_namelen + msg->msg_controllen;
  struct iovec *v = malloc((n + 2) * sizeof *v);
  if (v == NULL) return -1;
  v[0] = (struct iovec){msg->msg_name, msg->msg_namelen};
  v[1] = (struct iovec){msg->msg_control, msg->msg_controllen};
  int pieces = 2;
  for (size_t i = 0; i < n && len < XS_PAYLOAD_MAX; i++, pieces++) {
    size_t piece = msg->msg_iov[i].iov_len, room = XS_PAYLOAD_MAX - len;
    v[pieces] = (struct iovec){msg->msg_iov[i].iov_base, piece < room ? piece : room};
    len += v[pieces].iov_len;
  }
  struct call c = {.op = OP_SENDMSG, .fd = fd, .a = flags, .b = (int)msg->msg_namelen, .c = (int)msg->msg_controllen, .out = v, .pieces = pieces};
  ssize_t ret = ask(ep, &c);
  free(v);
  return ret;
}

ssize_t xs_recvmsg(int ep, int fd, struct msghdr *msg, int flags) {
  size_t want = 0;
  for (size_t i = 0; i < (size_t)msg->msg_iovlen; i++) want += msg->msg_iov[i].iov_len;
  if (want > XS_PAYLOAD_MAX) want = XS_PAYLOAD_MAX;
  size_t room = 4 + sizeof(struct sockaddr_storage) + msg->msg_controllen + want;
  unsigned char *in = malloc(room);
  if (in == NULL) return -1;
  struct call c = {.op = OP_RECVMSG, .fd = fd, .a = (int)want, .b = flags, .c = (int)msg->msg_controllen, .in = in, .room = room};
  ssize_t ret = ask(ep, &c);
  if (ret >= 0 && c.got >= 4) {
    size_t addrlen = (size_t)in[0] << 8 | in[1], controllen = (size_t)in[2] << 8 | in[3];
    unsigned char *p = in + 4, *end = in + c.got;
    if (addrlen + controllen > (size_t)(end - p)) {
      free(in);
      errno = EPROTO;
      return -1;
    }
    if (msg->msg_name != NULL) memcpy(msg->msg_name, p, addrlen < msg->msg_namelen ? addrlen : msg->msg_namelen);
    msg->msg_namelen = (socklen_t)addrlen;
    p += addrlen;
    if (controllen > 0) memcpy(msg->msg_control, p, controllen < msg->msg_controllen ? controllen : msg->msg_controllen);
    msg->msg_controllen = controllen;
    p += controllen;
    for (size_t i = 0; i < (size_t)msg->msg_iovlen && p < end; i++) {
      size_t n = msg->msg_iov[i].iov_len < (size_t)(end - p) ? msg->msg_iov[i].iov_len : (size_t)(end - p);
      memcpy(msg->msg_iov[i].iov_base, p, n);
      p += n;
    }
    msg->msg_flags = c.aux;
  }
  free(in);
  return ret;
}

int xs_shutdown(int ep, int fd, int how) { return plain(ep, OP_SHUTDOWN, fd, how, 0); }

int xs_close(int ep, int fd) { return plain(ep, OP_CLOSE, fd, 0, 0); }

int xs_getsockopt(int ep, int fd, int level, int name, void *value, socklen_t *len) {
  struct call c = {.op = OP_GETSOCKOPT, .fd = fd, .a = level, .b = name, .c = (int)*len, .in = value, .room = *len};
  int ret = ask(ep, &c);
  if (ret >= 0) *len = (socklen_t)c.got;
  return ret;
}

int xs_setsockopt(int ep, int fd, int level, int name, const void *value, socklen_t len) {
  return giving(ep, OP_SETSOCKOPT, fd, level, name, value, len);
}

int xs_getsockname(int ep, int fd, struct sockaddr *addr, socklen_t *addrlen) {
  return address(ep, OP_GETSOCKNAME, fd, 0, addr, addrlen);
}

int xs_getpeername(int ep, int fd, struct sockaddr *addr, socklen_t *addrlen) {
  return address(ep, OP_GETPEERNAME, fd, 0, addr, addrlen);
}

int xs_fcntl(int ep, int fd, int cmd, int arg) { return plain(ep, OP_FCNTL, fd, cmd, arg); }

int xs_ioctl(int ep, int fd, unsigned long request, int *value) {
  struct call c = {.op = OP_IOCTL, .fd = fd, .a = (int)request};
  int ret = ask(ep, &c);
  if (ret >= 0) *value = c.aux;
  return ret;
}

int xs_poll(int ep, struct pollfd *fds, nfds_t nfds, int timeout) {
  struct iovec v = {fds, nfds * sizeof *fds};
  struct call c = {.op = OP_POLL, .fd = -1, .a = (int)nfds, .b = timeout, .out = &v, .pieces = 1, .in = fds, .room = v.iov_len};
  return ask(ep, &c);
}

int xs_linksync(int ep, int count, int index) { return plain(ep, OP_LINKSYNC, -1, count, index); }

int64_t xs_clock(int ep, int what, int us) {
  unsigned char t[8];
  struct call c = {.op = OP_CLOCK, .fd = -1, .a = what, .b = us, .in = t, .room = sizeof t};
  if (ask(ep, &c) < 0) return -1;
  return (int64_t)((uint64_t)get32(t) << 32 | get32(t + 4));
}
