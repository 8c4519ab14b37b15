/* xs-echo PATH PORT: a server on the stack behind the endpoint at PATH that echoes until the FIN, for one connection after the other. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../native/client/xsiftr-client.h"

static void die(const char *what) {
  perror(what);
  exit(1);
}

int main(int argc, char **argv) {
  static char buf[65536];
  if (argc != 3) return 2;
  int ep = xs_open(argv[1]);
  if (ep < 0) die("xs_open");
  int l = xs_socket(ep, AF_INET, SOCK_STREAM, 0);
  if (l < 0) die("socket");
  if (xs_socket(ep, AF_INET6, SOCK_STREAM, 0) != -1 || errno != EAFNOSUPPORT) die("socket of AF_INET6");
  int on = 1, got = 0;
  socklen_t len = sizeof got;
  if (xs_setsockopt(ep, l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) die("setsockopt");
  if (xs_getsockopt(ep, l, SOL_SOCKET, SO_REUSEADDR, &got, &len) < 0 || got != 1 || len != 4) die("getsockopt");
  struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  if (xs_bind(ep, l, (struct sockaddr *)&sa, sizeof sa) < 0) die("bind");
  if (xs_listen(ep, l, 64) < 0) die("listen");
  puts("listening");
  fflush(stdout);
  for (;;) {
    struct sockaddr_in peer;
    socklen_t peerlen = sizeof peer;
    int fd = xs_accept4(ep, l, (struct sockaddr *)&peer, &peerlen, 0);
    if (fd < 0) die("accept");
    struct pollfd p = {fd, POLLIN, 0};
    if (xs_poll(ep, &p, 1, 10000) != 1 || (p.revents & POLLIN) == 0) die("poll");
    int queued = 0;
    if (xs_ioctl(ep, fd, 0x541b, &queued) < 0) die("ioctl");
    ssize_t n;
    while ((n = xs_recv(ep, fd, buf, sizeof buf, 0)) > 0) {
      /* Half of it each way, so that both kinds of calls carry data. */
      struct iovec v[2] = {{buf, (size_t)n / 2}, {buf + n / 2, (size_t)n - (size_t)n / 2}};
      struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
      if (xs_sendmsg(ep, fd, &m, MSG_NOSIGNAL) != n) die("sendmsg");
    }
    if (n < 0) die("recv");
    printf("from %s, port %d\n", peer.sin_addr.s_addr == htonl(0xc0000202) ? "192.0.2.2" : "elsewhere", ntohs(peer.sin_port) > 0);
    fflush(stdout);
    if (xs_close(ep, fd) < 0) die("close");
  }
}
