/**
 * What native/sys.cc adds to the addon: the system calls that Node has no name for. native.ts loads the addon; this file says
 * only what the functions take and give. Interface names are looked up in the network namespace of the calling thread.
 *
 * All throw an Error with `code` (`'EPERM'`, `'ENODEV'` …), `errno` (positive) and `syscall` when the kernel refuses.
 */

/** Queue counts of ETHTOOL_GCHANNELS; the `max…` fields are the driver's limits. */
export interface NativeChannels {
  maxRx: number;
  maxTx: number;
  maxOther: number;
  maxCombined: number;
  rx: number;
  tx: number;
  other: number;
  combined: number;
}

/** ETHTOOL_GDRVINFO, and what SIOCGIF* say of an interface. */
export interface NativeLink {
  index: number;
  /** IFF_* bits of netdevice(7). */
  flags: number;
  mtu: number;
  /** `02:00:00:00:00:01`; all zeros on an interface without a hardware address. */
  mac: string;
  /** Driver's name (`ixgbe`, `veth`); empty when the interface has no ethtool operations. */
  driver: string;
  /** Driver's name of the device on its bus (`0000:03:00.1`); empty for virtual devices. */
  busInfo: string;
}

/** What `undoApply` did, in the order in which it did it. */
export interface NativeUndoResult {
  /** `true` when the file was read to its end; `false` when it is malformed (nothing was changed then). */
  ok: boolean;
  /** One line each of what was put back (`mtu 1500`). */
  done: string[];
  /** One line each of what could not be put back, with the reason. */
  failed: string[];
}

export interface NativeSys {
  /** setns(2) of the calling thread into the network namespace that `fd` is open on. */
  sysSetNetns(fd: number): void;
  /** SIOCGIFINDEX, SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFHWADDR, ETHTOOL_GDRVINFO. */
  sysLink(ifname: string): NativeLink;
  /** ETHTOOL_GCHANNELS; null where the driver has no such operation. */
  sysChannels(ifname: string): NativeChannels | null;
  /** ETHTOOL_SCHANNELS. */
  sysSetChannels(ifname: string, rx: number, tx: number, other: number, combined: number): void;
  /** ETHTOOL_GRXFHINDIR: the queue of each slot of the RSS indirection table; null where there is none. */
  sysIndir(ifname: string): Uint32Array | null;
  /** ETHTOOL_SRXFHINDIR; null asks for the driver's default table. */
  sysSetIndir(ifname: string, table: Uint32Array | null): void;
  /** ETHTOOL_GRXRINGS: receive rings that RSS spreads over; 0 where unknown. */
  sysRxRings(ifname: string): number;
  /** ETHTOOL_GFEATURES: names of the offloads that are on, as ethtool -k has them; null where there is no such operation. */
  sysFeatures(ifname: string): string[] | null;
  /** SIOCSIFMTU. */
  sysSetMtu(ifname: string, mtu: number): void;
  /**
   * Applies and removes an undo file (native/undo.c) in the calling thread's network namespace. `runDir` bounds the paths that
   * its `unlink` lines may name.
   */
  sysUndoApply(path: string, runDir: string): NativeUndoResult;
  /** flock(2) LOCK_EX | LOCK_NB; false when another open file holds the lock. */
  sysLockFile(fd: number): boolean;
  /** mkfifo(3): a FIFO of that mode, less the umask's bits. */
  sysMkfifo(path: string, mode: number): void;
  /**
   * Gives back what start-up alone needed: memory that any thread has freed (malloc_trim(3)), and mapped pages of programs and
   * libraries, which come back from the page cache when they are used again.
   */
  sysTrimMemory(): void;
  /** sched_yield(2): threads that wait for the calling one's processor go first. */
  sysYield(): void;
  /** getpwnam_r(3) and getgrouplist(3); null when there is no such user. */
  sysLookupUser(name: string): { uid: number; gid: number; groups: number[] } | null;
  /** Name of a user, by getpwuid_r(3); null for one without. */
  sysUserName(uid: number): string | null;
  /** SO_PEERCRED of unix(7): the process that connected to the Unix socket `fd`. `pid` is 0 where it is in a PID namespace that is not ours. */
  sysPeerCred(fd: number): { pid: number; uid: number };
  /**
   * Takes every capability from every thread of the process and sets no_new_privs; with `uid` >= 0 becomes that user and those
   * groups as well. Returns the number of threads that were asked to. Throws when a thread keeps a capability.
   */
  sysDropPrivileges(uid: number, gid: number, groups: number[]): number;
  /** Effective capabilities of the calling thread, by capget(2): low and high 32 bits. */
  sysCapabilities(): [number, number];
  /** getifaddrs-free index of interface `ifname` or 0 when there is none. */
  sysIfIndex(ifname: string): number;
}
