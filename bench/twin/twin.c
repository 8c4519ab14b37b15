/*
 * The C twin: what the same kernel gives a program on libxdp that does nothing but move frames. Same XDP program, ring sizes, batch,
 * bind flags and wake-ups as the addon; it reads every header on receive and writes one field of every header on transmit.
 *
 *   twin rx   --iface IF   receive and count for --seconds, --spin: without sleeping; `ready`, and one JSON line at the end
 *   twin tx   --iface IF   send 64-byte UDP frames for --seconds; one JSON line at the end
 *   twin sink --iface IF   drop all that arrives, in XDP, for --seconds; one JSON line with the count
 *
 * It belongs to bench/ and is not installed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "xdp_shared.h"

/* Newer than Debian 12's headers; numbers of include/uapi/linux/if_xdp.h. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif

#define FRAME_SIZE 4096
#define SEND_BUFFER (32 << 20)

__asm__(".pushsection .rodata\n.balign 8\nxdp_object:\n.incbin \"" XSIFTR_XDP_OBJECT "\"\nxdp_object_end:\n.popsection\n");
extern const uint8_t xdp_object[], xdp_object_end[];

struct options {
  const char *iface;
  uint32_t queue;
  double seconds;
  uint32_t ring;
  uint32_t batch;
  uint32_t size;
  bool generic;
  bool timestamp;
  bool spin;
  uint8_t dst_mac[6];
  uint8_t src_mac[6];
  uint32_t src, dst;
};

static struct options opt = {.seconds = 5, .ring = 2048, .batch = 64, .size = 64};
static volatile sig_atomic_t stop;
static struct xsk_ring_cons rx, comp;
static struct xsk_ring_prod tx, fill;
static struct xsk_socket *xsk;
static uint8_t *umem;
static uint64_t wakeups, again;

static void on_signal(int number) {
  (void)number;
  stop = 1;
}

static void die(const char *what, int error) {
  fprintf(stderr, "twin: %s: %s\n", what, strerror(error));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args) {
  return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

/* Loads the addon's program, claims everything, attaches it by a link that ends with this process. */
static struct bpf_object *attach(struct xsiftr_state **state) {
  int ifindex = if_nametoindex(opt.iface);
  if (ifindex == 0) die(opt.iface, errno);
  libbpf_set_print(quiet);
  struct bpf_object *object = bpf_object__open_mem(xdp_object, xdp_object_end - xdp_object, NULL);
  if (object == NULL || bpf_object__load(object) != 0) die("load the XDP program", errno);
  *state = mmap(NULL, sizeof(**state), PROT_READ | PROT_WRITE, MAP_SHARED,
                bpf_object__find_map_fd_by_name(object, "state"), 0);
  if (*state == MAP_FAILED) die("map the program's state", errno);
  (*state)->exclusive = 1;
  (*state)->timestamp = opt.timestamp;
  LIBBPF_OPTS(bpf_link_create_opts, link, .flags = opt.generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
  int program = bpf_program__fd(bpf_object__find_program_by_name(object, "xsiftr_frags"));
  int fd = bpf_link_create(program, ifindex, BPF_XDP, &link);
  if (fd < 0) die("attach the XDP program", -fd);
  return object;
}

static void open_socket(struct bpf_object *object) {
  size_t bytes = 2UL * opt.ring * FRAME_SIZE;
  umem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (umem == MAP_FAILED) die("mmap", errno);
  struct xsk_umem_config umem_config = {.fill_size = opt.ring, .comp_size = opt.ring, .frame_size = FRAME_SIZE};
  struct xsk_umem *registered;
  int error = xsk_umem__create(&registered, umem, bytes, &fill, &comp, &umem_config);
  if (error != 0) die("register the UMEM", -error);
  struct xsk_socket_config config = {
      .rx_size = opt.ring,
      .tx_size = opt.ring,
      .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
      .bind_flags = XDP_USE_NEED_WAKEUP | XDP_COPY | XDP_USE_SG,
  };
  error = xsk_socket__create(&xsk, opt.iface, opt.queue, registered, &rx, &tx, &config);
  if (error != 0) die("open the socket", -error);
  int fd = xsk_socket__fd(xsk);
  int buffer = SEND_BUFFER;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
  int budget = opt.ring;
  setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
  if (object == NULL) return;
  int map = bpf_object__find_map_fd_by_name(object, "xsks");
  if (bpf_map_update_elem(map, &opt.queue, &fd, BPF_ANY) != 0) die("enter the socket into the map", errno);
}

/* Reads one word of each header, as the least that a stack does. */
static uint64_t touch(const uint8_t *frame, uint32_t length) {
  const struct ethhdr *eth = (const void *)frame;
  const struct iphdr *ip = (const void *)(eth + 1);
  const struct udphdr *udp = (const void *)(ip + 1);
  if (length < sizeof(*eth) + sizeof(*ip) + sizeof(*udp) || eth->h_proto != htons(ETH_P_IP)) return 0;
  return ip->daddr + ip->tot_len + udp->dest + eth->h_dest[5];
}

static void run_rx(void) {
  struct xsiftr_state *state;
  struct bpf_object *object = attach(&state);
  open_socket(object);
  uint32_t index = 0;
  uint32_t n = xsk_ring_prod__reserve(&fill, opt.ring, &index);
  for (uint32_t i = 0; i < n; i++) *xsk_ring_prod__fill_addr(&fill, index + i) = (uint64_t)i * FRAME_SIZE;
  xsk_ring_prod__submit(&fill, n);
  puts("ready");
  fflush(stdout);
  struct pollfd poller = {.fd = xsk_socket__fd(xsk), .events = POLLIN};
  uint64_t packets = 0, bytes = 0, sum = 0;
  double first = 0, last = 0, end = now() + opt.seconds;
  while (!stop) {
    uint32_t from;
    n = xsk_ring_cons__peek(&rx, opt.batch, &from);
    if (n == 0) {
      last = now();
      if (last > end) break;
      if (!opt.spin) poll(&poller, 1, 10);
      continue;
    }
    if (first == 0) {
      first = now();
      end = first + opt.seconds;
    }
    xsk_ring_prod__reserve(&fill, n, &index);
    for (uint32_t i = 0; i < n; i++) {
      const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&rx, from + i);
      sum += touch(umem + desc->addr, desc->len);
      bytes += desc->len;
      *xsk_ring_prod__fill_addr(&fill, index + i) = desc->addr & ~(uint64_t)(FRAME_SIZE - 1);
    }
    xsk_ring_prod__submit(&fill, n);
    xsk_ring_cons__release(&rx, n);
    packets += n;
    if ((packets & 0xfff) < n && (last = now()) > end) break;
  }
  double seconds = first == 0 ? opt.seconds : last - first;
  printf("{\"mode\":\"rx\",\"seconds\":%.3f,\"packets\":%lu,\"bytes\":%lu,\"pps\":%.0f,\"touched\":%lu}\n", seconds, packets, bytes,
         packets / seconds, sum & 1);
}

static uint16_t ip_checksum(const struct iphdr *ip) {
  uint32_t sum = 0;
  const uint16_t *word = (const void *)ip;
  for (int i = 0; i < 10; i++) sum += word[i];
  sum = (sum & 0xffff) + (sum >> 16);
  return ~((sum & 0xffff) + (sum >> 16));
}

static void build(uint8_t *frame) {
  struct ethhdr *eth = (void *)frame;
  struct iphdr *ip = (void *)(eth + 1);
  struct udphdr *udp = (void *)(ip + 1);
  memcpy(eth->h_dest, opt.dst_mac, 6);
  memcpy(eth->h_source, opt.src_mac, 6);
  eth->h_proto = htons(ETH_P_IP);
  uint16_t total = opt.size - sizeof(*eth);
  *ip = (struct iphdr){.version = 4, .ihl = 5, .tot_len = htons(total), .ttl = 64, .protocol = IPPROTO_UDP, .saddr = opt.src, .daddr = opt.dst};
  ip->check = ip_checksum(ip);
  /* Checksum 0: none was computed (RFC 768), so that the twin does no arithmetic that is not asked for. */
  *udp = (struct udphdr){.source = htons(1024), .dest = htons(9), .len = htons(total - sizeof(*ip)), .check = 0};
}

static void kick(void) {
  uint32_t last = __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE);
  int idle = 0;
  for (uint32_t calls = 0; calls <= tx.size && xsk_ring_prod__needs_wakeup(&tx); calls++) {
    wakeups++;
    again += calls > 0;
    if (sendto(xsk_socket__fd(xsk), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS) {
      die("sendto", errno);
    }
    uint32_t consumer = __atomic_load_n(tx.consumer, __ATOMIC_ACQUIRE);
    if (consumer == tx.cached_prod || (consumer == last && ++idle == 2)) return;
    last = consumer;
  }
}

static void run_tx(void) {
  open_socket(NULL);
  uint32_t frames = 2 * opt.ring;
  uint64_t *spare = calloc(frames, sizeof(*spare));
  uint32_t top = frames;
  for (uint32_t i = 0; i < frames; i++) {
    spare[i] = (uint64_t)i * FRAME_SIZE;
    build(umem + spare[i]);
  }
  uint64_t posted = 0, packets = 0;
  double start = now(), last = start;
  for (uint32_t turn = 0; !stop; turn++) {
    uint32_t index = 0;
    uint32_t n = opt.batch < top ? opt.batch : top;
    uint32_t room = xsk_prod_nb_free(&tx, n);
    if (room < n) n = room;
    if (n > 0) {
      xsk_ring_prod__reserve(&tx, n, &index);
      for (uint32_t i = 0; i < n; i++) {
        struct xdp_desc *desc = xsk_ring_prod__tx_desc(&tx, index + i);
        desc->addr = spare[--top];
        desc->len = opt.size;
        desc->options = 0;
        struct iphdr *ip = (void *)(umem + desc->addr + sizeof(struct ethhdr));
        struct udphdr *udp = (void *)(ip + 1);
        ip->id = htons(posted + i);
        ip->check = 0;
        ip->check = ip_checksum(ip);
        udp->source = htons(1024 + ((posted + i) & 1023));
      }
      xsk_ring_prod__submit(&tx, n);
      posted += n;
    }
    kick();
    n = xsk_ring_cons__peek(&comp, opt.ring, &index);
    for (uint32_t i = 0; i < n; i++) spare[top++] = *xsk_ring_cons__comp_addr(&comp, index + i) & ~(uint64_t)(FRAME_SIZE - 1);
    if (n > 0) xsk_ring_cons__release(&comp, n);
    packets += n;
    if ((turn & 63) == 0 && (last = now()) - start > opt.seconds) break;
  }
  double seconds = last - start;
  printf("{\"mode\":\"tx\",\"seconds\":%.3f,\"packets\":%lu,\"pps\":%.0f,\"wakeups\":%lu,\"again\":%lu}\n", seconds, packets,
         packets / seconds, wakeups, again);
}

/* No socket: the program drops and counts what it claims. */
static void run_sink(void) {
  struct xsiftr_state *state;
  attach(&state);
  puts("ready");
  fflush(stdout);
  double start = now();
  while (!stop && now() - start < opt.seconds) usleep(10000);
  uint64_t packets = 0;
  for (int i = 0; i <= XSIFTR_MAX_QUEUES; i++) packets += state->claimed_dropped[i];
  printf("{\"mode\":\"sink\",\"seconds\":%.3f,\"packets\":%lu}\n", now() - start, packets);
}

static void parse_mac(const char *text, uint8_t *mac) {
  if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6) die(text, EINVAL);
}

static void parse(int argc, char **argv) {
  static const struct option names[] = {
      {"iface", 1, 0, 'i'},   {"queue", 1, 0, 'q'},     {"seconds", 1, 0, 't'}, {"ring", 1, 0, 'r'}, {"batch", 1, 0, 'b'},
      {"size", 1, 0, 's'},    {"generic", 0, 0, 'g'},   {"spin", 0, 0, 'p'},    {"src", 1, 0, 'S'},  {"dst", 1, 0, 'D'},
      {"dst-mac", 1, 0, 'm'}, {"src-mac", 1, 0, 'M'},   {"timestamp", 0, 0, 'T'}, {0, 0, 0, 0},
  };
  int c;
  while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
    switch (c) {
      case 'i': opt.iface = optarg; break;
      case 'q': opt.queue = strtoul(optarg, NULL, 10); break;
      case 't': opt.seconds = strtod(optarg, NULL); break;
      case 'r': opt.ring = strtoul(optarg, NULL, 10); break;
      case 'b': opt.batch = strtoul(optarg, NULL, 10); break;
      case 's': opt.size = strtoul(optarg, NULL, 10); break;
      case 'g': opt.generic = true; break;
      case 'p': opt.spin = true; break;
      case 'T': opt.timestamp = true; break;
      case 'S': opt.src = inet_addr(optarg); break;
      case 'D': opt.dst = inet_addr(optarg); break;
      case 'm': parse_mac(optarg, opt.dst_mac); break;
      case 'M': parse_mac(optarg, opt.src_mac); break;
      default: exit(2);
    }
  }
  if (opt.iface == NULL || opt.size < 60 || opt.size > 1514 || opt.batch == 0 || opt.batch > opt.ring) {
    fputs("twin: --iface is needed, --size 60..1514, --batch 1..ring\n", stderr);
    exit(2);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("usage: twin rx|tx|sink --iface IF ...\n", stderr);
    return 2;
  }
  /* getopt moves the words about. */
  const char *mode = argv[1];
  parse(argc, argv);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  if (strcmp(mode, "rx") == 0) {
    run_rx();
  } else if (strcmp(mode, "tx") == 0) {
    run_tx();
  } else if (strcmp(mode, "sink") == 0) {
    run_sink();
  } else {
    fprintf(stderr, "twin: unknown mode %s\n", mode);
    return 2;
  }
  return 0;
}
