#include "sys.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "sys_privileges.h"
#include "undo.h"

namespace {

using Napi::CallbackInfo;
using Napi::Env;
using Napi::Value;

constexpr uint32_t kSlotsMax = 4096;

// Throws what Node's own system errors look like: code, errno, syscall.
Value fail(Env env, int err, const char *call) {
  const char *name = strerrorname_np(err);
  const std::string code = name != nullptr ? name : "E" + std::to_string(err);
  Napi::Error e = Napi::Error::New(env, code + ": " + strerror(err) + ", " + call);
  e.Set("code", Napi::String::New(env, code));
  e.Set("errno", Napi::Number::New(env, err));
  e.Set("syscall", Napi::String::New(env, call));
  e.ThrowAsJavaScriptException();
  return env.Undefined();
}

Value wrong(Env env, const char *what) {
  Napi::TypeError::New(env, what).ThrowAsJavaScriptException();
  return env.Undefined();
}

// A whole number of 32 bits; false when the argument is something else.
bool number(const CallbackInfo &info, size_t i, double low, double high, double &out) {
  if (i >= info.Length() || !info[i].IsNumber()) return false;
  out = info[i].As<Napi::Number>().DoubleValue();
  return out >= low && out <= high && out == static_cast<double>(static_cast<int64_t>(out));
}

bool text(const CallbackInfo &info, size_t i, std::string &out) {
  if (i >= info.Length() || !info[i].IsString()) return false;
  out = info[i].As<Napi::String>().Utf8Value();
  return out.find('\0') == std::string::npos;
}

// A socket for interface ioctls in the thread's network namespace, with the request's name filled in.
class Interface {
 public:
  explicit Interface(const std::string &name) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    memset(&ifr, 0, sizeof ifr);
    memcpy(ifr.ifr_name, name.c_str(), name.size());
  }
  ~Interface() {
    if (fd_ >= 0) close(fd_);
  }
  Interface(const Interface &) = delete;
  Interface &operator=(const Interface &) = delete;

  // Returns 0 or an errno.
  int call(unsigned long request) { return ioctl(fd_, request, &ifr) == 0 ? 0 : errno; }
  int ethtool(void *command) {
    ifr.ifr_data = static_cast<char *>(command);
    return call(SIOCETHTOOL);
  }

  ifreq ifr;

 private:
  int fd_;
};

bool ifname(const CallbackInfo &info, std::string &name) { return text(info, 0, name) && !name.empty() && name.size() < IFNAMSIZ; }

constexpr const char *kBadName = "the first argument is an interface name of 1 to 15 bytes";

Value SetNetns(const CallbackInfo &info) {
  double fd;
  if (!number(info, 0, 0, INT32_MAX, fd)) return wrong(info.Env(), "a file descriptor is expected");
  if (setns(static_cast<int>(fd), CLONE_NEWNET) != 0) return fail(info.Env(), errno, "setns");
  return info.Env().Undefined();
}

Value IfIndex(const CallbackInfo &info) {
  std::string name;
  if (!ifname(info, name)) return wrong(info.Env(), kBadName);
  return Napi::Number::New(info.Env(), if_nametoindex(name.c_str()));
}

Value Link(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  if (!ifname(info, name)) return wrong(env, kBadName);
  Interface dev(name);
  Napi::Object out = Napi::Object::New(env);
  int e;
  if ((e = dev.call(SIOCGIFINDEX)) != 0) return fail(env, e, "SIOCGIFINDEX");
  out.Set("index", dev.ifr.ifr_ifindex);
  if ((e = dev.call(SIOCGIFFLAGS)) != 0) return fail(env, e, "SIOCGIFFLAGS");
  out.Set("flags", static_cast<int>(static_cast<unsigned short>(dev.ifr.ifr_flags)));
  if ((e = dev.call(SIOCGIFMTU)) != 0) return fail(env, e, "SIOCGIFMTU");
  out.Set("mtu", dev.ifr.ifr_mtu);
  if ((e = dev.call(SIOCGIFHWADDR)) != 0) return fail(env, e, "SIOCGIFHWADDR");
  unsigned char mac[6] = {};
  if (dev.ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER) memcpy(mac, dev.ifr.ifr_hwaddr.sa_data, sizeof mac);
  char buf[18];
  snprintf(buf, sizeof buf, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  out.Set("mac", buf);
  ethtool_drvinfo drv;
  memset(&drv, 0, sizeof drv);
  drv.cmd = ETHTOOL_GDRVINFO;
  if (dev.ethtool(&drv) != 0) memset(&drv, 0, sizeof drv);
  out.Set("driver", std::string(drv.driver, strnlen(drv.driver, sizeof drv.driver)));
  out.Set("busInfo", std::string(drv.bus_info, strnlen(drv.bus_info, sizeof drv.bus_info)));
  return out;
}

Value Channels(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  if (!ifname(info, name)) return wrong(env, kBadName);
  Interface dev(name);
  ethtool_channels c;
  memset(&c, 0, sizeof c);
  c.cmd = ETHTOOL_GCHANNELS;
  const int e = dev.ethtool(&c);
  if (e == EOPNOTSUPP) return env.Null();
  if (e != 0) return fail(env, e, "ETHTOOL_GCHANNELS");
  Napi::Object out = Napi::Object::New(env);
  out.Set("maxRx", c.max_rx);
  out.Set("maxTx", c.max_tx);
  out.Set("maxOther", c.max_other);
  out.Set("maxCombined", c.max_combined);
  out.Set("rx", c.rx_count);
  out.Set("tx", c.tx_count);
  out.Set("other", c.other_count);
  out.Set("combined", c.combined_count);
  return out;
}

Value SetChannels(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  double n[4];
  if (!ifname(info, name)) return wrong(env, kBadName);
  for (size_t i = 0; i < 4; i++) {
    if (!number(info, i + 1, 0, UINT32_MAX, n[i])) return wrong(env, "four queue counts are expected");
  }
  Interface dev(name);
  ethtool_channels c;
  memset(&c, 0, sizeof c);
  c.cmd = ETHTOOL_SCHANNELS;
  c.rx_count = static_cast<uint32_t>(n[0]);
  c.tx_count = static_cast<uint32_t>(n[1]);
  c.other_count = static_cast<uint32_t>(n[2]);
  c.combined_count = static_cast<uint32_t>(n[3]);
  const int e = dev.ethtool(&c);
  if (e != 0) return fail(env, e, "ETHTOOL_SCHANNELS");
  return env.Undefined();
}

// struct ethtool_rxfh_indir: command, size, then a word for each slot.
constexpr size_t kIndirCmd = 0, kIndirSize = 1, kIndirSlots = 2;
using IndirTable = uint32_t[kIndirSlots + kSlotsMax];

Value Indir(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  if (!ifname(info, name)) return wrong(env, kBadName);
  Interface dev(name);
  IndirTable t;
  t[kIndirCmd] = ETHTOOL_GRXFHINDIR;
  // With size 0 the kernel tells the table's size only.
  t[kIndirSize] = 0;
  int e = dev.ethtool(t);
  if (e == EOPNOTSUPP || (e == 0 && t[kIndirSize] == 0)) return env.Null();
  if (e == 0 && t[kIndirSize] > kSlotsMax) e = E2BIG;
  if (e == 0) e = dev.ethtool(t);
  if (e != 0) return fail(env, e, "ETHTOOL_GRXFHINDIR");
  Napi::Uint32Array out = Napi::Uint32Array::New(env, t[kIndirSize]);
  memcpy(out.Data(), t + kIndirSlots, t[kIndirSize] * sizeof(uint32_t));
  return out;
}

Value SetIndir(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  if (!ifname(info, name)) return wrong(env, kBadName);
  Interface dev(name);
  IndirTable t;
  t[kIndirCmd] = ETHTOOL_SRXFHINDIR;
  // The driver's default table.
  t[kIndirSize] = 0;
  if (info.Length() > 1 && info[1].IsTypedArray() && info[1].As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array) {
    const Napi::Uint32Array table = info[1].As<Napi::Uint32Array>();
    if (table.ElementLength() == 0 || table.ElementLength() > kSlotsMax) return wrong(env, "a table has 1 to 4096 slots");
    t[kIndirSize] = static_cast<uint32_t>(table.ElementLength());
    memcpy(t + kIndirSlots, table.Data(), t[kIndirSize] * sizeof(uint32_t));
  } else if (info.Length() < 2 || !info[1].IsNull()) {
    return wrong(env, "a Uint32Array or null is expected");
  }
  const int e = dev.ethtool(t);
  if (e != 0) return fail(env, e, "ETHTOOL_SRXFHINDIR");
  return env.Undefined();
}

// Names of the features that are on, as ethtool -k shows them.
Value Features(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  if (!ifname(info, name)) return wrong(env, kBadName);
  Interface dev(name);
  // The header and, behind it, the size of the one set that is asked for.
  std::vector<uint64_t> info_words(sizeof(ethtool_sset_info) / sizeof(uint64_t) + 1);
  auto *sets = reinterpret_cast<ethtool_sset_info *>(info_words.data());
  sets->cmd = ETHTOOL_GSSET_INFO;
  sets->sset_mask = 1ull << ETH_SS_FEATURES;
  int e = dev.ethtool(sets);
  if (e == EOPNOTSUPP || (e == 0 && sets->sset_mask == 0)) return env.Null();
  if (e != 0) return fail(env, e, "ETHTOOL_GSSET_INFO");
  const uint32_t count = sets->data[0];
  std::vector<uint32_t> names((sizeof(ethtool_gstrings) + size_t{count} * ETH_GSTRING_LEN) / sizeof(uint32_t) + 1);
  auto *strings = reinterpret_cast<ethtool_gstrings *>(names.data());
  strings->cmd = ETHTOOL_GSTRINGS;
  strings->string_set = ETH_SS_FEATURES;
  strings->len = count;
  if ((e = dev.ethtool(strings)) != 0) return fail(env, e, "ETHTOOL_GSTRINGS");
  const uint32_t blocks = (count + 31) / 32;
  std::vector<uint32_t> bits((sizeof(ethtool_gfeatures) + size_t{blocks} * sizeof(ethtool_get_features_block)) / sizeof(uint32_t));
  auto *features = reinterpret_cast<ethtool_gfeatures *>(bits.data());
  features->cmd = ETHTOOL_GFEATURES;
  features->size = blocks;
  if ((e = dev.ethtool(features)) != 0) return fail(env, e, "ETHTOOL_GFEATURES");
  Napi::Array out = Napi::Array::New(env);
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; i++) {
    if ((features->features[i / 32].active & (1u << (i % 32))) == 0) continue;
    const char *text = reinterpret_cast<const char *>(strings->data) + size_t{i} * ETH_GSTRING_LEN;
    const size_t length = strnlen(text, ETH_GSTRING_LEN);
    if (length > 0) out.Set(n++, std::string(text, length));
  }
  return out;
}

Value RxRings(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  if (!ifname(info, name)) return wrong(env, kBadName);
  Interface dev(name);
  ethtool_rxnfc c;
  memset(&c, 0, sizeof c);
  c.cmd = ETHTOOL_GRXRINGS;
  const int e = dev.ethtool(&c);
  if (e == EOPNOTSUPP) return Napi::Number::New(env, 0);
  if (e != 0) return fail(env, e, "ETHTOOL_GRXRINGS");
  return Napi::Number::New(env, static_cast<double>(c.data));
}

Value SetMtu(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  double mtu;
  if (!ifname(info, name)) return wrong(env, kBadName);
  if (!number(info, 1, 0, INT32_MAX, mtu)) return wrong(env, "an MTU is expected");
  Interface dev(name);
  dev.ifr.ifr_mtu = static_cast<int>(mtu);
  const int e = dev.call(SIOCSIFMTU);
  if (e != 0) return fail(env, e, "SIOCSIFMTU");
  return env.Undefined();
}

struct UndoLines {
  std::vector<std::string> done, failed;
};

Napi::Array strings(Env env, const std::vector<std::string> &list) {
  Napi::Array out = Napi::Array::New(env, list.size());
  for (size_t i = 0; i < list.size(); i++) out.Set(static_cast<uint32_t>(i), list[i]);
  return out;
}

Value UndoApply(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string path, run_dir;
  if (!text(info, 0, path) || !text(info, 1, run_dir)) return wrong(env, "an undo file and a run folder are expected");
  UndoLines lines;
  const undo_status status = undo_apply(
      path.c_str(), run_dir.c_str(), -1,
      [](void *ctx, int failed, const char *line) {
        UndoLines *l = static_cast<UndoLines *>(ctx);
        (failed ? l->failed : l->done).push_back(line);
      },
      &lines);
  Napi::Object out = Napi::Object::New(env);
  out.Set("ok", status != UNDO_MALFORMED);
  out.Set("done", strings(env, lines.done));
  out.Set("failed", strings(env, lines.failed));
  return out;
}

Value LockFile(const CallbackInfo &info) {
  double fd;
  if (!number(info, 0, 0, INT32_MAX, fd)) return wrong(info.Env(), "a file descriptor is expected");
  if (flock(static_cast<int>(fd), LOCK_EX | LOCK_NB) == 0) return Napi::Boolean::New(info.Env(), true);
  if (errno == EWOULDBLOCK) return Napi::Boolean::New(info.Env(), false);
  return fail(info.Env(), errno, "flock");
}

Value Mkfifo(const CallbackInfo &info) {
  std::string path;
  double mode;
  if (!text(info, 0, path) || !number(info, 1, 0, 0777, mode)) return wrong(info.Env(), "a path and a mode are expected");
  if (mkfifo(path.c_str(), static_cast<mode_t>(mode)) != 0) return fail(info.Env(), errno, "mkfifo");
  return info.Env().Undefined();
}

// Unmaps the pages of programs and libraries: what start-up alone needed stays in the page cache only, the rest comes back by minor
// faults. Left alone is every mapping that may be written or holds a page of our own (relocated read-only data).
void DropFilePages() {
  FILE *maps = fopen("/proc/self/smaps", "re");
  if (maps == nullptr) return;
  unsigned long start = 0, end = 0, inode = 0, kilobytes = 0;
  char perms[5] = "", line[512];
  while (fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long from, to, node;
    char mode[5];
    if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &from, &to, mode, &node) == 4) {
      start = from;
      end = to;
      inode = node;
      memcpy(perms, mode, sizeof(perms));
    } else if (sscanf(line, "Anonymous: %lu kB", &kilobytes) == 1 && kilobytes == 0 && inode != 0 && perms[0] == 'r' &&
               perms[1] == '-' && perms[3] == 'p') {
      madvise(reinterpret_cast<void *>(start), end - start, MADV_DONTNEED);
    }
  }
  fclose(maps);
}

Value TrimMemory(const CallbackInfo &info) {
  malloc_trim(0);
  DropFilePages();
  return info.Env().Undefined();
}

Value LookupUser(const CallbackInfo &info) {
  const Env env = info.Env();
  std::string name;
  if (!text(info, 0, name)) return wrong(env, "a user name is expected");
  std::vector<char> buf(65536);
  passwd pw;
  passwd *found = nullptr;
  int e = getpwnam_r(name.c_str(), &pw, buf.data(), buf.size(), &found);
  // Some name services answer so for a name that they do not know.
  if (e == ENOENT || e == ESRCH || e == EBADF || e == EPERM) e = 0;
  if (e != 0) return fail(env, e, "getpwnam_r");
  if (found == nullptr) return env.Null();
  std::vector<gid_t> groups(64);
  int n = static_cast<int>(groups.size());
  if (getgrouplist(found->pw_name, found->pw_gid, groups.data(), &n) < 0) {
    groups.resize(static_cast<size_t>(n));
    getgrouplist(found->pw_name, found->pw_gid, groups.data(), &n);
  }
  Napi::Array list = Napi::Array::New(env, static_cast<size_t>(n));
  for (int i = 0; i < n; i++) list.Set(static_cast<uint32_t>(i), groups[static_cast<size_t>(i)]);
  Napi::Object out = Napi::Object::New(env);
  out.Set("uid", found->pw_uid);
  out.Set("gid", found->pw_gid);
  out.Set("groups", list);
  return out;
}

// SO_PEERCRED: the process at the other end when the connection was made, in our namespaces.
Value PeerCred(const CallbackInfo &info) {
  const Env env = info.Env();
  double fd;
  if (!number(info, 0, 0, INT32_MAX, fd)) return wrong(env, "a descriptor is expected");
  ucred who = {};
  socklen_t length = sizeof who;
  if (getsockopt(static_cast<int>(fd), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return fail(env, errno, "getsockopt");
  Napi::Object out = Napi::Object::New(env);
  out.Set("pid", static_cast<double>(who.pid));
  out.Set("uid", static_cast<double>(who.uid));
  return out;
}

Value UserName(const CallbackInfo &info) {
  const Env env = info.Env();
  double uid;
  if (!number(info, 0, 0, UINT32_MAX, uid)) return wrong(env, "a uid is expected");
  std::vector<char> buffer(1 << 16);
  passwd entry = {};
  passwd *found = nullptr;
  const int e = getpwuid_r(static_cast<uid_t>(uid), &entry, buffer.data(), buffer.size(), &found);
  if (e != 0 || found == nullptr) return env.Null();
  return Napi::String::New(env, found->pw_name);
}

Value DropPrivileges(const CallbackInfo &info) {
  const Env env = info.Env();
  double uid, gid;
  if (!number(info, 0, -1, UINT32_MAX - 1.0, uid) || !number(info, 1, -1, UINT32_MAX - 1.0, gid) || info.Length() < 3 ||
      !info[2].IsArray() || (uid >= 0) != (gid >= 0)) {
    return wrong(env, "uid, gid and groups are expected");
  }
  std::vector<gid_t> groups;
  const Napi::Array list = info[2].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Value v = list.Get(i);
    if (!v.IsNumber()) return wrong(env, "a group is a number");
    groups.push_back(v.As<Napi::Number>().Uint32Value());
  }
  std::string error;
  const int n = drop_privileges(static_cast<long>(uid), static_cast<long>(gid), groups, error);
  if (n < 0) {
    Napi::Error::New(env, error).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Number::New(env, n);
}

Value Capabilities(const CallbackInfo &info) {
  const Env env = info.Env();
  __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &head, data) != 0) return fail(env, errno, "capget");
  Napi::Array out = Napi::Array::New(env, 2);
  out.Set(0u, data[0].effective);
  out.Set(1u, data[1].effective);
  return out;
}

Value Yield(const CallbackInfo &info) {
  sched_yield();
  return info.Env().Undefined();
}

}  // namespace

void InitSys(Napi::Env env, Napi::Object exports) {
  const struct {
    const char *name;
    Value (*call)(const CallbackInfo &);
  } table[] = {
      {"sysSetNetns", SetNetns},       {"sysIfIndex", IfIndex},   {"sysLink", Link},           {"sysChannels", Channels},
      {"sysSetChannels", SetChannels}, {"sysIndir", Indir},       {"sysSetIndir", SetIndir},   {"sysRxRings", RxRings},
      {"sysFeatures", Features},       {"sysSetMtu", SetMtu},     {"sysUndoApply", UndoApply}, {"sysLockFile", LockFile},
      {"sysTrimMemory", TrimMemory},   {"sysMkfifo", Mkfifo},   {"sysYield", Yield},
      {"sysLookupUser", LookupUser},   {"sysPeerCred", PeerCred}, {"sysUserName", UserName},
      {"sysDropPrivileges", DropPrivileges}, {"sysCapabilities", Capabilities},
  };
  for (const auto &entry : table) exports.Set(entry.name, Napi::Function::New(env, entry.call, entry.name));
}
