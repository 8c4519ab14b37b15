// An interface taken over: the XDP program on it and a socket a queue. Opened and closed by the main thread.
#pragma once
#include <bpf/libbpf.h>

#include <memory>
#include <string>
#include <vector>

#include "queue.h"
#include "umem.h"
#include "xdp_shared.h"

namespace xsiftr {

enum class XdpMode { kAuto, kNative, kGeneric };
enum class ZeroCopy { kAuto, kOn, kOff };

struct PortOptions {
  std::string ifname;
  uint32_t queues = 1;
  std::string netns;  // path; empty: the caller's namespace
  XdpMode xdp = XdpMode::kAuto;
  ZeroCopy zero_copy = ZeroCopy::kAuto;
  bool exclusive = false;
  RxCsum rxcsum = RxCsum::kStrict;
  uint32_t max_frame = 0;
  bool busy_poll = false;
  bool timestamp = true;
};

class Port {
 public:
  // Throws SystemError; what was begun is undone then.
  Port(const PortOptions& options, Umem* umem);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  // Addresses in network order; v6 16 bytes each.
  void SetAddresses(const std::vector<uint32_t>& v4, const std::vector<std::vector<uint8_t>>& v6);
  bool InUse() const;
  void ReadStats(uint32_t queue, double* out) const;
  double ClaimedDropped(uint32_t slot) const;
  // IFF_* of netdevice(7), -1 when the interface is no longer in its namespace. Needs no right. Throws SystemError.
  int LinkFlags() const;

  const PortOptions options;
  std::vector<std::unique_ptr<Queue>> queues;
  int ifindex = 0;
  bool native = false;
  bool frags = false;
  bool busy_poll = false;
  std::vector<std::string> notes;

 private:
  void Release();
  void RefuseForeignProgram();
  void Load();
  void Attach();
  void OpenFirstSocket();
  int OpenSocketPatiently(uint32_t queue, uint16_t flags);
  int OpenSocket(uint32_t queue, uint16_t flags);
  void StartQueues();
  int MapFd(const char* name) const;

  Umem* const umem_;
  std::shared_ptr<UmemMapping> mapping_;
  bpf_object* object_ = nullptr;
  int link_ = -1;
  // Any socket of the interface's namespace: the way to ask for its flags once the right to enter is given up.
  int control_ = -1;
  xsiftr_state* state_ = nullptr;
  bool counted_ = false;
};

}  // namespace xsiftr
