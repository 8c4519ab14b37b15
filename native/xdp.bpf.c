/*
 * The XDP program: claims the frames that are for our addresses and passes all others to the kernel. It holds no policy but
 * this, and it never lets the kernel see a frame that is ours: a queue without a socket drops and counts.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/icmpv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "xdp_shared.h"

struct v6key {
  __u32 word[4];
};

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, XSIFTR_MAX_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} xsks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, XSIFTR_MAX_ADDRS);
  __type(key, __u32); /* network order */
  __type(value, __u32);
} addr4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, XSIFTR_MAX_ADDRS);
  __type(key, struct v6key);
  __type(value, __u32);
} addr6 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct xsiftr_state);
} state SEC(".maps");

/* ARP over Ethernet and IPv4 (RFC 826). */
struct arp_ipv4 {
  __be16 hrd;
  __be16 pro;
  __u8 hln;
  __u8 pln;
  __be16 op;
  __u8 sha[6];
  __u8 spa[4];
  __u8 tha[6];
  __u8 tpa[4];
} __attribute__((packed));

static __always_inline int ours4(__u32 addr) {
  return bpf_map_lookup_elem(&addr4, &addr) != NULL;
}

static __always_inline int ours6(const struct in6_addr *addr) {
  struct v6key key;
  __builtin_memcpy(&key, addr, sizeof(key));
  return bpf_map_lookup_elem(&addr6, &key) != NULL;
}

/* Asks for, or answers to, an address of ours. What concerns the kernel's addresses on the same wire stays the kernel's. */
static __always_inline int claims_arp(void *data, void *end) {
  const struct arp_ipv4 *arp = data;
  __u32 tpa;
  if ((void *)(arp + 1) > end) return 0;
  if (arp->hrd != bpf_htons(1) || arp->pro != bpf_htons(ETH_P_IP)) return 0;
  if (arp->hln != 6 || arp->pln != 4) return 0;
  __builtin_memcpy(&tpa, arp->tpa, sizeof(tpa));
  return ours4(tpa);
}

static __always_inline int claims_ipv6(void *data, void *end) {
  const struct ipv6hdr *ip6 = data;
  if ((void *)(ip6 + 1) > end) return 0;
  if (ours6(&ip6->daddr)) return 1;
  /* A solicited-node group may be shared with an address of the kernel: the target decides (RFC 4861, 4.3). */
  if (ip6->daddr.s6_addr[0] != 0xff || ip6->nexthdr != IPPROTO_ICMPV6) return 0;
  const struct icmp6hdr *icmp6 = (void *)(ip6 + 1);
  const struct in6_addr *target = (void *)(icmp6 + 1);
  if ((void *)(target + 1) > end) return 0;
  return icmp6->icmp6_type == 135 && ours6(target);
}

static __always_inline int claims(void *data, void *end) {
  const struct ethhdr *eth = data;
  if ((void *)(eth + 1) > end) return 0;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) {
    const struct iphdr *ip = (void *)(eth + 1);
    return (void *)(ip + 1) <= end && ours4(ip->daddr);
  }
  if (eth->h_proto == bpf_htons(ETH_P_ARP)) return claims_arp((void *)(eth + 1), end);
  if (eth->h_proto == bpf_htons(ETH_P_IPV6)) return claims_ipv6((void *)(eth + 1), end);
  return 0;
}

static __always_inline void stamp(struct xdp_md *ctx) {
  /* A driver without room for metadata refuses; the frame then gets the time of its batch. */
  if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct xsiftr_meta)) != 0) return;
  struct xsiftr_meta *meta = (void *)(long)ctx->data_meta;
  if ((void *)(meta + 1) > (void *)(long)ctx->data) return;
  meta->ns = bpf_ktime_get_ns();
  meta->magic = XSIFTR_META_MAGIC;
  meta->reserved = 0;
}

static __always_inline int run(struct xdp_md *ctx) {
  __u32 zero = 0;
  struct xsiftr_state *st = bpf_map_lookup_elem(&state, &zero);
  if (st == NULL) return XDP_PASS;
  if (!st->exclusive && !claims((void *)(long)ctx->data, (void *)(long)ctx->data_end)) return XDP_PASS;
  if (st->timestamp) stamp(ctx);
  __u32 queue = ctx->rx_queue_index;
  int action = bpf_redirect_map(&xsks, queue, XDP_DROP);
  if (action != XDP_REDIRECT) {
    __u32 slot = queue < XSIFTR_MAX_QUEUES ? queue : XSIFTR_MAX_QUEUES;
    __sync_fetch_and_add(&st->claimed_dropped[slot], 1);
  }
  return action;
}

SEC("xdp.frags")
int xsiftr_frags(struct xdp_md *ctx) {
  return run(ctx);
}

SEC("xdp")
int xsiftr_plain(struct xdp_md *ctx) {
  return run(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
