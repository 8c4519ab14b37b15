#include "sys_privileges.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

// Capabilities belong to a thread, and no system call changes another thread's. glibc has the same trouble with setuid, which POSIX
// wants for the whole process, and solves it with a signal to every thread (nptl/nptl_setxid.c) that no thread can block: its sigprocmask
// and pthread_sigmask leave this number out. We borrow that signal for the time of the call, past glibc's sigaction, which refuses it.
namespace {

constexpr int kSigSetxid = 33;
constexpr int kRounds = 32;
constexpr int kAckTries = 40000;  // of 50 us: 2 s for one thread

enum Phase : int {
  kIdle = 0,
  // Bounding set, ambient set, securebits, no_new_privs; permitted capabilities stay, for setresuid.
  kNoWayBack = 1,
  // Permitted, effective and inheritable capabilities.
  kEmpty = 2,
};

// struct sigaction as the kernel has it on 64-bit machines.
struct KernelSigaction {
  void (*handler)(int, siginfo_t *, void *);
  unsigned long flags;
#ifdef __x86_64__
  void (*restorer)();
#endif
  unsigned long mask;
};

std::atomic<int> g_phase{kIdle};
std::atomic<int> g_acked{0};
std::atomic<int> g_errno{0};
bool g_setpcap = false;

#ifdef __x86_64__
// The kernel returns from a handler to this; x86-64 has no default one.
extern "C" void xsiftr_sigreturn();
asm(".text\n.type xsiftr_sigreturn,@function\nxsiftr_sigreturn:\n  mov $15, %eax\n  syscall\n");
constexpr unsigned long kSaRestorer = 0x04000000;
#endif

// Runs in every thread, in a signal handler: raw system calls only, none that takes a lock. Returns an errno.
int lower(Phase phase) {
  __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (phase == kEmpty) return syscall(SYS_capset, &head, data) == 0 ? 0 : errno;
  if (g_setpcap) {
    const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                               SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (syscall(SYS_prctl, PR_SET_SECUREBITS, bits, 0, 0, 0) != 0) return errno;
    for (int cap = 0; syscall(SYS_prctl, PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
      if (syscall(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) return errno;
    }
  }
  syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : errno;
}

void on_signal(int, siginfo_t *info, void *) {
  const int saved = errno;
  const int phase = g_phase.load();
  // Only what we sent ourselves counts.
  if (phase != kIdle && info->si_code == SI_TKILL && info->si_pid == static_cast<pid_t>(syscall(SYS_getpid))) {
    const int e = lower(static_cast<Phase>(phase));
    if (e != 0) g_errno.store(e);
    g_acked.store(static_cast<int>(syscall(SYS_gettid)));
  }
  errno = saved;
}

// What /proc says of one thread.
struct ThreadState {
  bool gone = false;
  unsigned long long inheritable = 0, permitted = 0, effective = 0, bounding = 0, ambient = 0;
  int no_new_privs = 0;
};

ThreadState read_state(int tid) {
  ThreadState s;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
  FILE *f = fopen(path, "re");
  if (f == nullptr) {
    s.gone = true;
    return s;
  }
  char line[256];
  char state = 0;
  while (fgets(line, sizeof line, f) != nullptr) {
    sscanf(line, "State: %c", &state);
    sscanf(line, "CapInh: %llx", &s.inheritable);
    sscanf(line, "CapPrm: %llx", &s.permitted);
    sscanf(line, "CapEff: %llx", &s.effective);
    sscanf(line, "CapBnd: %llx", &s.bounding);
    sscanf(line, "CapAmb: %llx", &s.ambient);
    sscanf(line, "NoNewPrivs: %d", &s.no_new_privs);
  }
  fclose(f);
  s.gone = state == 'Z' || state == 'X';
  return s;
}

bool reached(Phase phase, const ThreadState &s) {
  if (s.gone) return true;
  if (s.no_new_privs != 1 || s.ambient != 0 || (g_setpcap && s.bounding != 0)) return false;
  return phase == kNoWayBack || (s.permitted | s.effective | s.inheritable) == 0;
}

std::vector<int> threads() {
  std::vector<int> out;
  DIR *dir = opendir("/proc/self/task");
  if (dir == nullptr) return out;
  while (const dirent *e = readdir(dir)) {
    const int tid = atoi(e->d_name);
    if (tid > 0) out.push_back(tid);
  }
  closedir(dir);
  return out;
}

// Asks one thread and waits until it has answered or is gone. False when it does neither.
bool ask(int tid) {
  g_acked.store(0);
  if (syscall(SYS_tgkill, getpid(), tid, kSigSetxid) != 0) return errno == ESRCH;
  const timespec pause = {0, 50000};
  for (int i = 0; i < kAckTries; i++) {
    if (g_acked.load() == tid) return true;
    nanosleep(&pause, nullptr);
    if (i % 20 == 19 && syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH) return true;
  }
  return false;
}

// Brings every thread to `phase`. Looks again until a whole look finds nobody behind: a thread that was asked late may have made another before.
bool all_threads(Phase phase, int &count, std::string &error) {
  KernelSigaction ours = {}, before = {};
  ours.handler = on_signal;
  ours.flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
#ifdef __x86_64__
  ours.flags |= kSaRestorer;
  ours.restorer = xsiftr_sigreturn;
#endif
  ours.mask = ~0ul;
  if (syscall(SYS_rt_sigaction, kSigSetxid, &ours, &before, sizeof ours.mask) != 0) {
    error = std::string("rt_sigaction: ") + strerror(errno);
    return false;
  }
  const int self = static_cast<int>(syscall(SYS_gettid));
  g_errno.store(0);
  g_phase.store(phase);
  bool done = false;
  int stuck = 0;
  for (int round = 0; round < kRounds && !done && stuck == 0 && g_errno.load() == 0; round++) {
    done = true;
    const std::vector<int> tids = threads();
    count = static_cast<int>(tids.size());
    if (tids.empty()) break;
    for (const int tid : tids) {
      if (reached(phase, read_state(tid))) continue;
      done = false;
      if (tid == self) {
        const int e = lower(phase);
        if (e != 0) g_errno.store(e);
      } else if (!ask(tid)) {
        stuck = tid;
        break;
      }
    }
  }
  g_phase.store(kIdle);
  syscall(SYS_rt_sigaction, kSigSetxid, &before, nullptr, sizeof ours.mask);
  if (count == 0) error = "/proc is not mounted, so the threads cannot be seen";
  else if (g_errno.load() != 0) error = strerror(g_errno.load());
  else if (stuck != 0) error = "thread " + std::to_string(stuck) + " does not answer (io_uring workers cannot: unset UV_USE_IO_URING)";
  else if (!done) error = "some threads kept capabilities";
  return error.empty();
}

}  // namespace

int drop_privileges(long uid, long gid, const std::vector<gid_t> &groups, std::string &error) {
  error.clear();
  __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &head, data) != 0) {
    error = std::string("capget: ") + strerror(errno);
    return -1;
  }
  g_setpcap = (data[0].effective & (1u << CAP_SETPCAP)) != 0;
  int count = 0;
  if (!all_threads(kNoWayBack, count, error)) return -1;
  if (uid >= 0) {
    const uid_t u = static_cast<uid_t>(uid);
    const gid_t g = static_cast<gid_t>(gid);
    // glibc's, so for all threads; in this order, as the last one takes the right to the others away.
    if (setgroups(groups.size(), groups.data()) != 0) error = std::string("setgroups: ") + strerror(errno);
    else if (setresgid(g, g, g) != 0) error = std::string("setresgid: ") + strerror(errno);
    else if (setresuid(u, u, u) != 0) error = std::string("setresuid: ") + strerror(errno);
    if (!error.empty()) return -1;
  }
  return all_threads(kEmpty, count, error) ? count : -1;
}
