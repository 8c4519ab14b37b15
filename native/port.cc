#include "port.h"

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "netns.h"

// Newer than the headers that we may be built with; the kernel's numbers (include/uapi/linux/if_xdp.h, asm-generic/socket.h).
#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif

// The compiled XDP program, put into the addon so that there is one file to install.
__asm__(
    ".pushsection .rodata\n"
    ".balign 8\n"
    "xsiftr_xdp_object:\n"
    ".incbin \"" XSIFTR_XDP_OBJECT "\"\n"
    "xsiftr_xdp_object_end:\n"
    ".popsection\n");
extern "C" {
extern const uint8_t xsiftr_xdp_object[] __attribute__((visibility("hidden")));
extern const uint8_t xsiftr_xdp_object_end[] __attribute__((visibility("hidden")));
}

namespace xsiftr {
namespace {

// What a copy-mode transmit may queue in the kernel, bytes of socket memory: several rings of small frames.
constexpr int kSendBuffer = 32 << 20;
// Microseconds and frames of a preferred busy poll.
constexpr int kBusyPollUs = 20;
constexpr int kBusyPollBudget = 64;

// The kernel releases the queues of a closed socket some time after the close, in a work of its own. A queue that is busy
// longer than this is somebody else's.
constexpr int kBusyTries = 50;
constexpr useconds_t kBusyPauseUs = 10000;

// Warnings of libbpf and libxdp since the last attempt: they say what an errno does not (the verifier's words).
thread_local std::string library_text;

void KeepText(const char* format, va_list args) {
  char line[512];
  vsnprintf(line, sizeof(line), format, args);
  library_text = line;
  while (!library_text.empty() && library_text.back() == '\n') library_text.pop_back();
}

int PrintBpf(libbpf_print_level level, const char* format, va_list args) {
  if (level == LIBBPF_WARN) KeepText(format, args);
  return 0;
}

int PrintXdp(libxdp_print_level level, const char* format, va_list args) {
  if (level == LIBXDP_WARN) KeepText(format, args);
  return 0;
}

// Old kernels count maps and UMEM against memlock. Where it cannot be raised, registration itself is the judge.
void RaiseMemlock() {
  rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0) return;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_MEMLOCK, &limit);
}

bool IsPermission(int error) { return error == EPERM || error == EACCES; }

constexpr const char* kNeedsRights = " (it needs root, or CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF)";

}  // namespace

Port::Port(const PortOptions& wanted, Umem* umem) : options(wanted), umem_(umem), mapping_(umem->mapping) {
  libbpf_set_print(PrintBpf);
  libxdp_set_print(PrintXdp);
  RaiseMemlock();
  NetnsScope netns(options.netns);
  try {
    ifindex = static_cast<int>(if_nametoindex(options.ifname.c_str()));
    if (ifindex == 0) throw SystemError(ENODEV, "if_nametoindex", options.ifname + ": no such interface");
    control_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control_ < 0) throw SystemError(errno, "socket", "cannot make a socket: " + ErrnoText(errno));
    RefuseForeignProgram();
    Load();
    // The program goes on first: without addresses it passes everything, so nothing is lost while the sockets are made.
    Attach();
    OpenFirstSocket();
    for (uint32_t q = 1; q < options.queues; q++) {
      int error = OpenSocketPatiently(q, 0);
      if (error != 0) {
        throw SystemError(error, "bind",
                          options.ifname + ": cannot open queue " + std::to_string(q) + ": " + ErrnoText(error) +
                              (error == EBUSY ? " (another program's AF_XDP socket holds it)" : ""));
      }
    }
    StartQueues();
  } catch (...) {
    Release();
    throw;
  }
}

Port::~Port() { Release(); }

void Port::Release() {
  // The program first, so that frames go to the kernel again before there is nobody to take them.
  if (link_ >= 0) close(link_);
  link_ = -1;
  queues.clear();
  if (counted_ && --umem_->ports == 0) umem_->Unregister();
  counted_ = false;
  if (state_ != nullptr) munmap(state_, sizeof(*state_));
  state_ = nullptr;
  if (object_ != nullptr) bpf_object__close(object_);
  object_ = nullptr;
  if (control_ >= 0) close(control_);
  control_ = -1;
}

void Port::RefuseForeignProgram() {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (bpf_xdp_query(ifindex, 0, &query) != 0) return;
  bool generic = query.skb_prog_id != 0 && query.drv_prog_id == 0 && query.hw_prog_id == 0;
  uint32_t id = query.drv_prog_id != 0 ? query.drv_prog_id : query.skb_prog_id != 0 ? query.skb_prog_id : query.prog_id;
  if (id == 0) return;
  throw SystemError(EBUSY, "bpf_xdp_query",
                    options.ifname + ": an XDP program (id " + std::to_string(id) +
                        ") is attached already; end the program that holds it, or: ip link set " + options.ifname +
                        (generic ? " xdpgeneric off" : " xdp off"));
}

int Port::MapFd(const char* name) const { return bpf_object__find_map_fd_by_name(object_, name); }

void Port::Load() {
  size_t size = static_cast<size_t>(xsiftr_xdp_object_end - xsiftr_xdp_object);
  LIBBPF_OPTS(bpf_object_open_opts, open_options, .object_name = "xsiftr");
  object_ = bpf_object__open_mem(xsiftr_xdp_object, size, &open_options);
  int error = object_ == nullptr ? errno : -bpf_object__load(object_);
  if (error != 0) {
    throw SystemError(error, "bpf", "cannot load the XDP program: " + ErrnoText(error) +
                                        (IsPermission(error) ? kNeedsRights : " (" + library_text + ")"));
  }
  void* p = mmap(nullptr, sizeof(*state_), PROT_READ | PROT_WRITE, MAP_SHARED, MapFd("state"), 0);
  if (p == MAP_FAILED) throw SystemError(errno, "mmap", "cannot map the XDP program's state: " + ErrnoText(errno));
  state_ = static_cast<xsiftr_state*>(p);
  state_->timestamp = options.timestamp;
}

void Port::Attach() {
  struct Attempt {
    bool native;
    bool frags;
  };
  static constexpr Attempt kAttempts[] = {{true, true}, {true, false}, {false, true}, {false, false}};
  int error = 0;
  for (const Attempt& attempt : kAttempts) {
    if (attempt.native ? options.xdp == XdpMode::kGeneric : options.xdp == XdpMode::kNative) continue;
    bpf_program* program = bpf_object__find_program_by_name(object_, attempt.frags ? "xsiftr_frags" : "xsiftr_plain");
    LIBBPF_OPTS(bpf_link_create_opts, link, .flags = attempt.native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    link_ = bpf_link_create(bpf_program__fd(program), ifindex, BPF_XDP, &link);
    if (link_ >= 0) {
      native = attempt.native;
      frags = attempt.frags;
      return;
    }
    error = -link_;
    notes.push_back(std::string(attempt.native ? "native" : "generic") + " xdp" + (attempt.frags ? " with frags" : "") +
                    ": " + ErrnoText(error));
    if (error == EBUSY || error == EEXIST || IsPermission(error)) break;
  }
  std::string text = options.ifname + ": cannot attach the XDP program: ";
  if (error == EBUSY || error == EEXIST) {
    throw SystemError(EBUSY, "bpf_link_create", text + "another one is attached; try: ip link set " + options.ifname + " xdp off");
  }
  if (IsPermission(error)) throw SystemError(error, "bpf_link_create", text + ErrnoText(error) + kNeedsRights);
  std::string all;
  for (const std::string& note : notes) all += (all.empty() ? "" : "; ") + note;
  throw SystemError(error, "bpf_link_create", text + all);
}

// Opens queue 0. With the process's first port this also registers the UMEM and settles zero-copy for all sockets to come.
void Port::OpenFirstSocket() {
  if (umem_->ports > 0) {
    int error = OpenSocketPatiently(0, 0);
    if (error != 0) {
      throw SystemError(error, "bind", options.ifname + ": cannot share the UMEM of the first interface (" +
                                           (umem_->zero_copy ? "zero-copy" : "copy") + " mode): " + ErrnoText(error));
    }
    return;
  }
  bool may_zero_copy = native && options.zero_copy != ZeroCopy::kOff;
  bool may_copy = options.zero_copy != ZeroCopy::kOn;
  int error = EOPNOTSUPP;
  for (int zero_copy = 1; zero_copy >= 0; zero_copy--) {
    if (zero_copy ? !may_zero_copy : !may_copy) continue;
    for (int sg = frags; sg >= 0; sg--) {
      error = umem_->Register();
      if (error != 0) {
        throw SystemError(error, "setsockopt XDP_UMEM_REG",
                          "cannot register the UMEM with the kernel: " + ErrnoText(error) +
                              (IsPermission(error) ? kNeedsRights : ""));
      }
      uint16_t flags = static_cast<uint16_t>(XDP_USE_NEED_WAKEUP | (zero_copy ? XDP_ZEROCOPY : XDP_COPY) | (sg ? XDP_USE_SG : 0));
      error = OpenSocketPatiently(0, flags);
      if (error == 0) {
        umem_->zero_copy = zero_copy;
        umem_->frags = sg;
        return;
      }
      umem_->Unregister();
      if (error == EBUSY) {
        throw SystemError(error, "bind", options.ifname + ": queue 0 is held by another program's AF_XDP socket");
      }
      if (error == ENETDOWN) break;
    }
    notes.push_back(std::string(zero_copy ? "zero-copy" : "copy") + ": " + ErrnoText(error));
  }
  if (options.zero_copy == ZeroCopy::kOn) {
    throw SystemError(error, "bind", options.ifname + ": zero-copy is not possible here (" + ErrnoText(error) +
                                         (native ? "" : "; generic XDP has none") + "); use --zero-copy auto");
  }
  throw SystemError(error, "bind", options.ifname + ": cannot open an AF_XDP socket: " + ErrnoText(error));
}

int Port::OpenSocketPatiently(uint32_t index, uint16_t flags) {
  int error = OpenSocket(index, flags);
  for (int tries = 0; error == EBUSY && tries < kBusyTries; tries++) {
    usleep(kBusyPauseUs);
    error = OpenSocket(index, flags);
  }
  return error;
}

// Makes and binds the socket of a queue and enters it into the program's map. 0 or a positive errno.
int Port::OpenSocket(uint32_t index, uint16_t flags) {
  xsk_socket_config config = {};
  config.rx_size = umem_->ring_size;
  config.tx_size = umem_->ring_size;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = flags;
  auto queue = std::make_unique<Queue>();
  // libxdp hands the rings of the registering call to the first socket, by identity.
  xsk_ring_prod* fill = umem_->ports == 0 && index == 0 ? &umem_->fill : &queue->fill;
  xsk_ring_cons* comp = umem_->ports == 0 && index == 0 ? &umem_->comp : &queue->comp;
  int error = -xsk_socket__create_shared(&queue->socket, options.ifname.c_str(), index, umem_->registered, &queue->rx,
                                         &queue->tx, fill, comp, &config);
  if (error != 0) {
    queue->socket = nullptr;
    return error;
  }
  if (fill != &queue->fill) {
    queue->fill = *fill;
    queue->comp = *comp;
  }
  if (!counted_) {
    umem_->ports++;
    counted_ = true;
  }
  int fd = queue->fd();
  queues.push_back(std::move(queue));
  if (bpf_map_update_elem(MapFd("xsks"), &index, &fd, BPF_ANY) != 0) {
    throw SystemError(errno, "bpf_map_update_elem", "cannot give a socket to the XDP program: " + ErrnoText(errno));
  }
  return 0;
}

void Port::StartQueues() {
  QueueSettings settings;
  settings.umem = mapping_->base;
  settings.umem_frames = mapping_->frames;
  settings.max_frame = options.max_frame;
  settings.rxcsum = options.rxcsum;
  settings.timestamp = options.timestamp;
  settings.zero_copy = umem_->zero_copy;
  busy_poll = options.busy_poll;
  for (auto& queue : queues) {
    int fd = queue->fd();
    // Both are wishes: what an old kernel refuses costs only speed.
    int send_buffer = kSendBuffer;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer));
    int budget = static_cast<int>(umem_->ring_size);
    setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
    if (options.busy_poll) {
      int on = 1;
      int us = kBusyPollUs;
      int frames = kBusyPollBudget;
      busy_poll = busy_poll && setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) == 0 &&
                  setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &frames, sizeof(frames)) == 0;
    }
    queue->Start(settings);
  }
  state_->exclusive = options.exclusive;
}

void Port::SetAddresses(const std::vector<uint32_t>& v4, const std::vector<std::vector<uint8_t>>& v6) {
  auto replace = [](int map, const std::set<std::string>& wanted, size_t key_size) {
    std::set<std::string> present;
    std::string key(key_size, '\0');
    std::string next(key_size, '\0');
    const void* from = nullptr;
    while (bpf_map_get_next_key(map, from, next.data()) == 0) {
      present.insert(next);
      key = next;
      from = key.data();
    }
    uint32_t one = 1;
    for (const std::string& k : wanted) {
      if (bpf_map_update_elem(map, k.data(), &one, BPF_ANY) != 0) {
        throw SystemError(errno, "bpf_map_update_elem", "cannot give an address to the XDP program: " + ErrnoText(errno));
      }
    }
    for (const std::string& k : present) {
      if (wanted.count(k) == 0) bpf_map_delete_elem(map, k.data());
    }
  };
  std::set<std::string> keys4;
  for (uint32_t addr : v4) keys4.emplace(reinterpret_cast<const char*>(&addr), sizeof(addr));
  std::set<std::string> keys6;
  for (const auto& addr : v6) keys6.emplace(addr.begin(), addr.end());
  replace(MapFd("addr4"), keys4, 4);
  replace(MapFd("addr6"), keys6, 16);
}

bool Port::InUse() const {
  for (const auto& queue : queues) {
    if (queue->owner.load() != nullptr) return true;
  }
  return false;
}

double Port::ClaimedDropped(uint32_t slot) const {
  return static_cast<double>(__atomic_load_n(&state_->claimed_dropped[slot], __ATOMIC_RELAXED));
}

int Port::LinkFlags() const {
  ifreq ifr = {};
  // By index, since a name may pass to another interface; where the name changes between the two calls, ask again.
  do {
    ifr.ifr_ifindex = ifindex;
    if (ioctl(control_, SIOCGIFNAME, &ifr) != 0) {
      if (errno == ENODEV) return -1;
      break;
    }
    if (ioctl(control_, SIOCGIFFLAGS, &ifr) == 0) return static_cast<unsigned short>(ifr.ifr_flags);
  } while (errno == ENODEV);
  throw SystemError(errno, "SIOCGIFFLAGS", options.ifname + ": cannot read its flags: " + ErrnoText(errno));
}

void Port::ReadStats(uint32_t queue, double* out) const {
  for (int i = 0; i < kQueueStats; i++) out[i] = 0;
  queues[queue]->ReadStats(out);
  out[kClaimedDropped] = ClaimedDropped(queue);
}

}  // namespace xsiftr
