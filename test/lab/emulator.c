/*
 * A wire with faults between two interfaces of one namespace, for where the kernel has no netem.
 *
 *   emulator A B [--seed N] [--spin US] [--ab KEY=VALUE,...] [--ba KEY=VALUE,...]
 *
 * A release nearer than --spin (default 30) is waited for awake, as a sleep overshoots (by 70 us in the mean where this was written).
 * --ab is the way from A to B, --ba the other; a way without settings only bridges. In the order of a packet's way:
 *
 *   loss, loss_bare       probability, of data packets and of bare ones
 *   drop                  ordinals of data packets to lose besides, 1 the first: drop=3:5:8
 *   rate                  bit/s, of whole Ethernet frames without FCS (0: no limit)
 *   queue_bytes, queue_packets   what may wait or be in transmission, else drop the newcomer (0: no limit)
 *   mark_bytes            set CE (RFC 3168) in an ECT packet that finds more than this waiting or in transmission (0: never)
 *   mark                  probability of CE in an ECT packet, whatever waits
 *   delay_us, jitter_us   constant part, and the most that is added to it (uniform); later packets never overtake ...
 *   jitter_reorders       ... unless this is 1
 *   reorder, reorder_us   probability of being held back, and for how long; those behind it go ahead
 *   dup                   probability of a copy right behind
 *   corrupt               probability of one wrong bit behind the Ethernet header
 *
 * A packet is bare when it is TCP without payload, else it is a data packet; each way counts both on their own, from 1. Every draw is
 * a hash of seed, way, kind, purpose and ordinal: the n-th data packet meets the same fate whoever sends it and whenever it comes. ARP,
 * neighbour discovery and what is no IP pass at once, uncounted by all that.
 *
 * A packet's time starts at the kernel's receive stamp, so that our own wake-up delays it only past its release, which is counted.
 * SIGUSR1 prints the counters as one line of JSON, SIGTERM and SIGINT print them and end. `ready` comes first.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Newer than some libc headers; the number of include/uapi/linux/if_packet.h. */
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define SLOTS 65536
#define FRAME_MAX 9216
#define BATCH 64
#define SECOND 1000000000LL
#define RECEIVE_BUFFER (32 << 20)
/* Ordinals of lost packets that are listed. */
#define LIST_MAX 8192
#define DROPS_MAX 1024
/* Buckets of lateness: the k-th counts what was late by less than 2^k us, the last all else. */
#define LATE_BUCKETS 18

enum kind { DATA, BARE, KINDS };
enum purpose { LOSS, JITTER, REORDER, DUP, CORRUPT, CORRUPT_BIT, MARK };

struct settings {
  double rate, loss, loss_bare, reorder, dup, corrupt, mark;
  double queue_bytes, queue_packets, mark_bytes;
  double delay_us, jitter_us, jitter_reorders, reorder_us;
  uint32_t drops[DROPS_MAX];
  int ndrops;
};

struct counts {
  uint64_t received[KINDS], lost[KINDS], passed, queue_drops, marked, reordered, duplicated, corrupted, sent, sent_bytes;
  /* Ours to be ashamed of: a test checks that they are 0. */
  uint64_t no_slot, oversize, send_failed, socket_drops;
  uint64_t queue_bytes_max, late_sum_ns, late_max_ns, late[LATE_BUCKETS];
  uint32_t lost_list[LIST_MAX];
};

struct way {
  struct settings set;
  struct counts cnt;
  int id, from, to;
  /* When the last bit of what was accepted leaves the rate limiter, and the latest release given to one in order. */
  int64_t link_free, last_release;
  /* What waits for the rate limiter or is in it: a ring of ends and lengths. */
  int64_t ends[SLOTS];
  uint32_t lengths[SLOTS];
  uint32_t head, tail;
  uint64_t queued_bytes;
};

struct item {
  int64_t release;
  uint64_t serial;
  uint32_t slot, length;
  struct way *way;
};

static struct way ways[2];
static uint64_t seed = 1;
static int64_t spin_ns = 30000;
static struct item heap[SLOTS];
static uint32_t heap_size;
static uint64_t serial;
static uint32_t free_slots[SLOTS], nfree;
static uint8_t *frames;
static bool realtime;
static volatile sig_atomic_t stop, report;

static void on_signal(int number) {
  if (number == SIGUSR1) report = 1;
  else stop = 1;
}

static void die(const char *what) {
  fprintf(stderr, "emulator: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t clock_ns(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return t.tv_sec * SECOND + t.tv_nsec;
}

static uint8_t *frame(uint32_t slot) { return frames + (size_t)slot * FRAME_MAX; }

/* The 64-bit finaliser of Steele, Lea and Flood's SplitMix (OOPSLA 2014). */
static uint64_t mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* A number in [0, 1) that depends on nothing but what is given. */
static double draw(const struct way *w, enum kind kind, enum purpose purpose, uint64_t ordinal) {
  uint64_t key = mix(mix(seed) ^ ((uint64_t)w->id << 16 | kind << 8 | purpose));
  return (double)(mix(key ^ ordinal) >> 11) * 0x1p-53;
}

static bool earlier(const struct item *a, const struct item *b) {
  return a->release != b->release ? a->release < b->release : a->serial < b->serial;
}

static void push(struct way *w, uint32_t slot, uint32_t length, int64_t release) {
  struct item item = {.release = release, .serial = serial++, .slot = slot, .length = length, .way = w};
  uint32_t at = heap_size++;
  for (; at > 0 && earlier(&item, &heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = item;
}

static struct item pop(void) {
  struct item top = heap[0], last = heap[--heap_size];
  uint32_t at = 0;
  for (;;) {
    uint32_t child = 2 * at + 1;
    if (child >= heap_size) break;
    if (child + 1 < heap_size && earlier(&heap[child + 1], &heap[child])) child++;
    if (!earlier(&heap[child], &last)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = last;
  return top;
}

static void transmit(struct way *w, const uint8_t *bytes, uint32_t length, uint64_t *counter) {
  if (send(w->to, bytes, length, MSG_DONTWAIT) == (ssize_t)length) (*counter)++, w->cnt.sent_bytes += length;
  else w->cnt.send_failed++;
}

static void release_due(void) {
  while (heap_size > 0) {
    int64_t late = clock_ns(CLOCK_MONOTONIC) - heap[0].release;
    if (late < 0) return;
    struct item item = pop();
    struct counts *c = &item.way->cnt;
    int bucket = 0;
    while (bucket < LATE_BUCKETS - 1 && late >= 1000LL << bucket) bucket++;
    c->late[bucket]++;
    c->late_sum_ns += late;
    if ((uint64_t)late > c->late_max_ns) c->late_max_ns = late;
    transmit(item.way, frame(item.slot), item.length, &c->sent);
    free_slots[nfree++] = item.slot;
  }
}

/* @returns the packet's kind, or -1 for what passes at once: no IP, and ICMPv6's neighbour and router messages (RFC 4861). */
static int classify(const uint8_t *f, uint32_t length) {
  uint32_t l4, protocol, end;
  uint16_t type = length < ETH_HLEN ? 0 : f[12] << 8 | f[13];
  if (type == ETH_P_IP && length >= ETH_HLEN + 20) {
    /* Only a first fragment has the TCP header. */
    protocol = (f[20] & 0x1f) == 0 && f[21] == 0 ? f[23] : 0;
    l4 = ETH_HLEN + (f[14] & 15) * 4;
    end = ETH_HLEN + (f[16] << 8 | f[17]);
  } else if (type == ETH_P_IPV6 && length >= ETH_HLEN + 40) {
    protocol = f[20];
    l4 = ETH_HLEN + 40;
    end = l4 + (f[18] << 8 | f[19]);
    if (protocol == 58 && length > l4 && f[l4] >= 133 && f[l4] <= 137) return -1;
  } else {
    return -1;
  }
  if (protocol != 6 || length < l4 + 20) return DATA;
  return end > l4 + (f[l4 + 12] >> 4) * 4 ? DATA : BARE;
}

static bool is_lost(struct way *w, enum kind kind, uint64_t ordinal) {
  const struct settings *s = &w->set;
  bool lost = draw(w, kind, LOSS, ordinal) < (kind == DATA ? s->loss : s->loss_bare);
  for (int i = 0; kind == DATA && i < s->ndrops; i++) lost |= s->drops[i] == ordinal;
  if (!lost) return false;
  if (kind == DATA && w->cnt.lost[DATA] < LIST_MAX) w->cnt.lost_list[w->cnt.lost[DATA]] = ordinal;
  w->cnt.lost[kind]++;
  return true;
}

/* The rate limiter and its drop-tail queue. @returns when the last bit leaves it, or -1 when there is no room. */
static int64_t limit(struct way *w, uint32_t length, int64_t arrival) {
  const struct settings *s = &w->set;
  if (s->rate == 0) return arrival;
  while (w->head != w->tail && w->ends[w->head % SLOTS] <= arrival) w->queued_bytes -= w->lengths[w->head++ % SLOTS];
  if ((s->queue_bytes > 0 && w->queued_bytes + length > s->queue_bytes) ||
      (s->queue_packets > 0 && w->tail - w->head + 1 > s->queue_packets) || w->tail - w->head == SLOTS) {
    w->cnt.queue_drops++;
    return -1;
  }
  int64_t end = (w->link_free > arrival ? w->link_free : arrival) + (int64_t)(length * 8 * 1e9 / s->rate);
  w->link_free = end;
  w->ends[w->tail % SLOTS] = end;
  w->lengths[w->tail++ % SLOTS] = length;
  w->queued_bytes += length;
  if (w->queued_bytes > w->cnt.queue_bytes_max) w->cnt.queue_bytes_max = w->queued_bytes;
  return end;
}

/* Sets CE where the sender declared the packet ECT, and mends the IPv4 header's checksum (RFC 1624, equation 3). */
static void mark_ce(struct way *w, uint8_t *f) {
  bool ip4 = f[12] == 0x08;
  /* The second byte of either header: the low bits of IPv4's TOS, bits 4 and 5 where IPv6's traffic class ends. */
  uint8_t *field = f + ETH_HLEN + 1;
  int shift = ip4 ? 0 : 4;
  int ecn = *field >> shift & 3;
  if (ecn == 0 || ecn == 3) return;
  uint16_t before = f[ETH_HLEN] << 8 | f[ETH_HLEN + 1];
  *field |= 3 << shift;
  w->cnt.marked++;
  if (!ip4) return;
  uint16_t after = f[ETH_HLEN] << 8 | f[ETH_HLEN + 1];
  uint32_t sum = (uint16_t)~(f[ETH_HLEN + 10] << 8 | f[ETH_HLEN + 11]) + (uint16_t)~before + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16));
  f[ETH_HLEN + 10] = sum >> 8;
  f[ETH_HLEN + 11] = sum;
}

/* Takes a frame in its slot; the slot is kept when this gives true. */
static bool accept_frame(struct way *w, uint32_t slot, uint32_t length, int64_t arrival) {
  struct counts *c = &w->cnt;
  const struct settings *s = &w->set;
  int kind = classify(frame(slot), length);
  if (kind < 0) {
    transmit(w, frame(slot), length, &c->passed);
    return false;
  }
  uint64_t ordinal = ++c->received[kind];
  if (is_lost(w, kind, ordinal)) return false;
  int64_t release = limit(w, length, arrival);
  if (release < 0) return false;
  /* What is queued includes this packet by now. */
  if ((s->mark_bytes > 0 && w->queued_bytes > s->mark_bytes + length) || draw(w, kind, MARK, ordinal) < s->mark) {
    mark_ce(w, frame(slot));
  }
  release += s->delay_us * 1000 + s->jitter_us * 1000 * draw(w, kind, JITTER, ordinal);
  if (draw(w, kind, REORDER, ordinal) < s->reorder) {
    release += s->reorder_us * 1000;
    c->reordered++;
  } else {
    if (s->jitter_reorders == 0 && release < w->last_release) release = w->last_release;
    w->last_release = release;
  }
  if (draw(w, kind, CORRUPT, ordinal) < s->corrupt && length > ETH_HLEN) {
    uint32_t bit = draw(w, kind, CORRUPT_BIT, ordinal) * (length - ETH_HLEN) * 8;
    frame(slot)[ETH_HLEN + bit / 8] ^= 1 << bit % 8;
    c->corrupted++;
  }
  push(w, slot, length, release);
  if (draw(w, kind, DUP, ordinal) < s->dup) {
    if (nfree == 0) {
      c->no_slot++;
    } else {
      uint32_t copy = free_slots[--nfree];
      memcpy(frame(copy), frame(slot), length);
      push(w, copy, length, release);
      c->duplicated++;
    }
  }
  return true;
}

/* Reads a batch of one way. @returns how many frames there were */
static int receive(struct way *w) {
  static struct mmsghdr messages[BATCH];
  static struct iovec pieces[BATCH];
  static char control[BATCH][CMSG_SPACE(sizeof(struct timespec))];
  uint32_t slots[BATCH];
  int most = nfree < BATCH ? nfree : BATCH;
  if (most == 0) {
    if (recv(w->from, NULL, 0, MSG_DONTWAIT | MSG_TRUNC) < 0) return 0;
    w->cnt.no_slot++;
    return 1;
  }
  for (int i = 0; i < most; i++) {
    slots[i] = free_slots[--nfree];
    pieces[i] = (struct iovec){.iov_base = frame(slots[i]), .iov_len = FRAME_MAX};
    messages[i].msg_hdr = (struct msghdr){
        .msg_iov = &pieces[i], .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof(control[i])};
  }
  int n = recvmmsg(w->from, messages, most, MSG_DONTWAIT, NULL);
  if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENETDOWN) die("receive");
  int64_t now = clock_ns(CLOCK_MONOTONIC), wall = clock_ns(CLOCK_REALTIME);
  for (int i = 0; i < most; i++) {
    bool kept = false;
    if (i < n) {
      struct msghdr *header = &messages[i].msg_hdr;
      struct cmsghdr *stamp = CMSG_FIRSTHDR(header);
      int64_t age = 0;
      if (stamp != NULL && stamp->cmsg_level == SOL_SOCKET && stamp->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec t;
        memcpy(&t, CMSG_DATA(stamp), sizeof(t));
        age = wall - (t.tv_sec * SECOND + t.tv_nsec);
      }
      /* The wall clock may be set meanwhile. */
      if (age < 0 || age > SECOND) age = 0;
      if (header->msg_flags & MSG_TRUNC) w->cnt.oversize++;
      else kept = accept_frame(w, slots[i], messages[i].msg_len, now - age);
    }
    if (!kept) free_slots[nfree++] = slots[i];
  }
  return n > 0 ? n : 0;
}

static void print_way(const char *name, struct way *w) {
  struct counts *c = &w->cnt;
  struct tpacket_stats kernel;
  socklen_t size = sizeof(kernel);
  if (getsockopt(w->from, SOL_PACKET, PACKET_STATISTICS, &kernel, &size) == 0) c->socket_drops += kernel.tp_drops;
  uint64_t waiting = 0;
  for (uint32_t i = 0; i < heap_size; i++) waiting += heap[i].way == w;
#define FIELD(key, value) printf("\"%s\":%" PRIu64 ",", key, (uint64_t)(value))
  printf("\"%s\":{", name);
  FIELD("data", c->received[DATA]);
  FIELD("bare", c->received[BARE]);
  FIELD("passed", c->passed);
  FIELD("lost_data", c->lost[DATA]);
  FIELD("lost_bare", c->lost[BARE]);
  FIELD("queue_drops", c->queue_drops);
  FIELD("queue_bytes_max", c->queue_bytes_max);
  FIELD("marked", c->marked);
  FIELD("reordered", c->reordered);
  FIELD("duplicated", c->duplicated);
  FIELD("corrupted", c->corrupted);
  FIELD("sent", c->sent);
  FIELD("sent_bytes", c->sent_bytes);
  FIELD("waiting", waiting);
  FIELD("no_slot", c->no_slot);
  FIELD("oversize", c->oversize);
  FIELD("send_failed", c->send_failed);
  FIELD("socket_drops", c->socket_drops);
  FIELD("late_max_us", c->late_max_ns / 1000);
  printf("\"late_mean_us\":%.1f,\"late_log2_us\":[", c->sent > 0 ? c->late_sum_ns / 1e3 / c->sent : 0.0);
  for (int i = 0; i < LATE_BUCKETS; i++) printf("%s%" PRIu64, i > 0 ? "," : "", c->late[i]);
  printf("],\"lost\":[");
  for (uint64_t i = 0; i < c->lost[DATA] && i < LIST_MAX; i++) printf("%s%" PRIu32, i > 0 ? "," : "", c->lost_list[i]);
  printf("]}");
}

static void print_report(void) {
  printf("{\"realtime\":%s,", realtime ? "true" : "false");
  print_way("ab", &ways[0]);
  printf(",");
  print_way("ba", &ways[1]);
  printf("}\n");
  fflush(stdout);
}

static int open_interface(const char *name) {
  int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1, size = RECEIVE_BUFFER;
  if (fd < 0) die("AF_PACKET socket");
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(name)};
  if (address.sll_ifindex == 0) die(name);
  struct packet_mreq promiscuous = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) != 0) die("PACKET_IGNORE_OUTGOING");
  if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) != 0) die("PACKET_QDISC_BYPASS");
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) != 0) die("promiscuous");
  if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0) die("SO_TIMESTAMPNS");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
  if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) die("bind");
  return fd;
}

static void usage(const char *what, const char *given) {
  fprintf(stderr, "emulator: %s: %s\nusage: emulator A B [--seed N] [--spin US] [--ab KEY=VALUE,...] [--ba KEY=VALUE,...]\n", given, what);
  exit(2);
}

static double number(const char *text) {
  char *end;
  double value = text != NULL ? strtod(text, &end) : -1;
  if (text == NULL || end == text || *end != 0 || !(value >= 0)) usage("not a number from 0 up", text ? text : "");
  return value;
}

static void parse(struct settings *s, char *text) {
  static char *const keys[] = {"rate",       "loss",     "loss_bare", "reorder",         "dup",        "corrupt", "mark", "queue_bytes", "queue_packets",
                               "mark_bytes", "delay_us", "jitter_us", "jitter_reorders", "reorder_us", "drop",    NULL};
  double *values[] = {&s->rate,       &s->loss,     &s->loss_bare, &s->reorder,         &s->dup, &s->corrupt, &s->mark, &s->queue_bytes, &s->queue_packets,
                      &s->mark_bytes, &s->delay_us, &s->jitter_us, &s->jitter_reorders, &s->reorder_us};
  const int scalars = sizeof(values) / sizeof(values[0]);
  char *value, *rest = text;
  while (*rest != 0) {
    char *word = rest;
    int key = getsubopt(&rest, keys, &value);
    if (key < 0 || value == NULL) usage("no such KEY=VALUE", word);
    if (key < scalars) {
      *values[key] = number(value);
      continue;
    }
    for (char *one = strtok(value, ":"); one != NULL; one = strtok(NULL, ":")) {
      if (s->ndrops == DROPS_MAX) usage("too many ordinals", word);
      s->drops[s->ndrops++] = number(one);
    }
  }
}

/* Sleeps until a frame comes, the next release is near, or a signal. */
static void wait_for_work(const sigset_t *awake) {
  struct pollfd fds[2] = {{.fd = ways[0].from, .events = POLLIN}, {.fd = ways[1].from, .events = POLLIN}};
  struct timespec timeout = {0};
  if (heap_size > 0) {
    int64_t left = heap[0].release - clock_ns(CLOCK_MONOTONIC) - spin_ns;
    if (left > 0) timeout = (struct timespec){.tv_sec = left / SECOND, .tv_nsec = left % SECOND};
  }
  if (ppoll(fds, 2, heap_size > 0 ? &timeout : NULL, awake) < 0 && errno != EINTR) die("poll");
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"seed", required_argument, NULL, 's'}, {"spin", required_argument, NULL, 'w'}, {"ab", required_argument, NULL, 'a'}, {"ba", required_argument, NULL, 'b'}, {0}};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (c == 's') seed = strtoull(optarg, NULL, 0);
    else if (c == 'w') spin_ns = number(optarg) * 1000;
    else if (c == 'a') parse(&ways[0].set, optarg);
    else if (c == 'b') parse(&ways[1].set, optarg);
    else return 2;
  }
  if (argc - optind != 2) usage("two interfaces are wanted", argv[0]);

  sigset_t held, awake;
  sigemptyset(&held);
  const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
  struct sigaction action = {.sa_handler = on_signal};
  for (int i = 0; i < 3; i++) sigaddset(&held, signals[i]), sigaction(signals[i], &action, NULL);
  sigprocmask(SIG_BLOCK, &held, &awake);
  /* A parent that is killed takes us along. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1);
  realtime = sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) == 0;

  frames = mmap(NULL, (size_t)SLOTS * FRAME_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (frames == MAP_FAILED) die("mmap");
  /* Low slots last, so that they are used first and again. */
  for (uint32_t i = 0; i < SLOTS; i++) free_slots[nfree++] = SLOTS - 1 - i;
  int a = open_interface(argv[optind]), b = open_interface(argv[optind + 1]);
  ways[0].id = 0, ways[0].from = a, ways[0].to = b;
  ways[1].id = 1, ways[1].from = b, ways[1].to = a;
  printf("ready\n");
  fflush(stdout);

  while (!stop) {
    release_due();
    int n = receive(&ways[0]) + receive(&ways[1]);
    if (report) report = 0, print_report();
    if (n == 0) wait_for_work(&awake);
  }
  print_report();
  return 0;
}
