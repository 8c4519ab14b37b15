/*
 * Sockets on a running xsiftr, over its socket endpoint (xsiftr --sockets PATH; docs/endpoint.md).
 *
 * The calls are those of <sys/socket.h> with xs_ before the name and the connection to the endpoint as first argument; they return what those
 * return, and set errno as those do; there is no SIGPIPE, and no signal interrupts a call. What has more than XS_PAYLOAD_MAX bytes besides data
 * is EINVAL. Descriptors are the endpoint's own and mean nothing to the kernel.
 *
 * A connection does one call at a time: a thread that may block opens one of its own with xs_open, and may use any descriptor over it.
 * What was opened over a connection is closed with it. A connection that breaks gives EPIPE from then on.
 */
#ifndef XSIFTR_CLIENT_H
#define XSIFTR_CLIENT_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Most bytes that one call carries; xs_send and xs_recv move no more than these at a time. */
#define XS_PAYLOAD_MAX (1 << 20)

/* Connects to the endpoint at `path`: a connection for the calls below, or -1. Close it with close(2). */
int xs_open(const char *path);

int xs_socket(int ep, int domain, int type, int protocol);
int xs_bind(int ep, int fd, const struct sockaddr *addr, socklen_t addrlen);
int xs_listen(int ep, int fd, int backlog);
/* `flags`: SOCK_NONBLOCK, SOCK_CLOEXEC. */
int xs_accept4(int ep, int fd, struct sockaddr *addr, socklen_t *addrlen, int flags);
int xs_connect(int ep, int fd, const struct sockaddr *addr, socklen_t addrlen);
ssize_t xs_recv(int ep, int fd, void *buf, size_t len, int flags);
ssize_t xs_send(int ep, int fd, const void *buf, size_t len, int flags);
ssize_t xs_sendmsg(int ep, int fd, const struct msghdr *msg, int flags);
ssize_t xs_recvmsg(int ep, int fd, struct msghdr *msg, int flags);
int xs_shutdown(int ep, int fd, int how);
int xs_close(int ep, int fd);
int xs_getsockopt(int ep, int fd, int level, int name, void *value, socklen_t *len);
int xs_setsockopt(int ep, int fd, int level, int name, const void *value, socklen_t len);
int xs_getsockname(int ep, int fd, struct sockaddr *addr, socklen_t *addrlen);
int xs_getpeername(int ep, int fd, struct sockaddr *addr, socklen_t *addrlen);
int xs_fcntl(int ep, int fd, int cmd, int arg);
/* SIOCINQ (FIONREAD), SIOCOUTQ: the result goes to `*value`. */
int xs_ioctl(int ep, int fd, unsigned long request, int *value);
/* Over descriptors of the endpoint only. */
int xs_poll(int ep, struct pollfd *fds, nfds_t nfds, int timeout);

/* Waits until link `index`, in the order of --iface, has taken in `count` frames. */
int xs_linksync(int ep, int count, int index);
/* The stack's time in µs. `what`: 0 reads it, 1 stops it, 2 moves it on by `us`. -1 with errno EOPNOTSUPP where it cannot be set. */
int64_t xs_clock(int ep, int what, int us);

#ifdef __cplusplus
}
#endif

#endif
