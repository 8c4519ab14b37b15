/* What the XDP program and the addon must agree on. Plain C for both compilers. */
#ifndef XSIFTR_XDP_SHARED_H
#define XSIFTR_XDP_SHARED_H

/* Queues a port may have; the XDP program counts claimed drops for each, and for all beyond in one further slot. */
#define XSIFTR_MAX_QUEUES 64

/* Addresses a port may claim, of each family. */
#define XSIFTR_MAX_ADDRS 256

/* Stands in front of a stamped frame, directly before its first byte. The kernel copies XDP metadata along with the frame. */
#define XSIFTR_META_MAGIC 0x78736674u
struct xsiftr_meta {
  __u64 ns; /* CLOCK_MONOTONIC */
  __u32 magic;
  __u32 reserved;
};

/* The one value of the "state" map, mapped into the addon: settings go down, counts come up, without a system call. */
struct xsiftr_state {
  __u32 exclusive;
  __u32 timestamp;
  __u64 claimed_dropped[XSIFTR_MAX_QUEUES + 1];
};

#endif
