#include "worker/system_call_filter.h"

#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace weft::worker {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t own_architecture = 0;  // no filter
#endif
constexpr std::uint32_t x32_numbers = 0x40000000;  // a second set of numbers for the same calls, on x86-64

// Since Linux 4.17. Without it every process behind a filter pays for speculation on older kernels; nothing here is kept from
// processes of the same user by that.
constexpr unsigned allow_speculation = SECCOMP_FILTER_FLAG_SPEC_ALLOW;

constexpr std::uint32_t new_namespaces =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// Numbers from 424 on are the same everywhere.
constexpr std::uint32_t never[] = {
    // the machine
    SYS_reboot, SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_swapon, SYS_swapoff, SYS_acct,
    SYS_settimeofday, SYS_clock_settime, SYS_sethostname, SYS_setdomainname, SYS_syslog,
    SYS_quotactl, SYS_vhangup,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm,
#endif
    // file systems and namespaces
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_open_by_handle_at,
    428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */,
    442 /* mount_setattr */,
    // what has had holes, or belongs to others
    SYS_bpf, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key, 425 /* io_uring_setup */, 426 /* io_uring_enter */,
    427 /* io_uring_register */, SYS_migrate_pages, SYS_lookup_dcookie,
};
constexpr std::uint32_t tracing_calls[] = {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, 438 /* pidfd_getfd */,
                                           440 /* process_madvise */, SYS_perf_event_open};
constexpr std::uint32_t clone3_number = 435;

constexpr std::uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error); }

/// The low half of an argument: all that we compare are ints (little endian machines only).
constexpr std::uint32_t argument(int index) { return offsetof(seccomp_data, args) + static_cast<std::uint32_t>(index) * 8; }

class Writer {
 public:
  void load(std::uint32_t offset) { add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset); }
  void answer(std::uint32_t action) { add(BPF_RET | BPF_K, 0, 0, action); }
  /// Skip so many instructions unless the loaded number is this one.
  void unless_equal(std::uint32_t number, std::uint8_t skip) { add(BPF_JMP | BPF_JEQ | BPF_K, 0, skip, number); }
  void if_equal(std::uint32_t number, std::uint8_t skip) { add(BPF_JMP | BPF_JEQ | BPF_K, skip, 0, number); }
  void unless_any_of(std::uint32_t bits, std::uint8_t skip) { add(BPF_JMP | BPF_JSET | BPF_K, 0, skip, bits); }
  void if_at_least(std::uint32_t number, std::uint8_t skip_otherwise) { add(BPF_JMP | BPF_JGE | BPF_K, 0, skip_otherwise, number); }
  std::vector<sock_filter> take() { return std::move(code_); }

 private:
  void add(int code, std::uint8_t if_true, std::uint8_t if_false, std::uint32_t value) {
    code_.push_back({static_cast<std::uint16_t>(code), if_true, if_false, value});
  }
  std::vector<sock_filter> code_;
};

}  // namespace

std::vector<sock_filter> make_system_call_filter(bool tracing) {
  if (own_architecture == 0) return {};
  Writer code;
  code.load(offsetof(seccomp_data, arch));
  code.if_equal(own_architecture, 1);
  code.answer(refuse(ENOSYS));  // 32-bit programs: their numbers mean other calls
  code.load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  code.if_at_least(x32_numbers, 1);
  code.answer(refuse(ENOSYS));
#endif
  auto refuse_all = [&](std::span<const std::uint32_t> numbers) {
    for (std::uint32_t number : numbers) code.unless_equal(number, 1), code.answer(refuse(EPERM));
  };
  refuse_all(never);
  if (!tracing) refuse_all(tracing_calls);
  // Its flags lie in memory, where they cannot be looked at; the C library then uses clone.
  code.unless_equal(clone3_number, 1);
  code.answer(refuse(ENOSYS));
  for (std::uint32_t number : {std::uint32_t(SYS_clone), std::uint32_t(SYS_unshare)}) {
    code.unless_equal(number, 4);
    code.load(argument(0));
    code.unless_any_of(new_namespaces, 1);
    code.answer(refuse(EPERM));
    code.answer(SECCOMP_RET_ALLOW);
  }
  // It dies with its worker: that may be asked for again, not taken back.
  code.unless_equal(SYS_prctl, 6);
  code.load(argument(0));
  code.unless_equal(PR_SET_PDEATHSIG, 3);
  code.load(argument(1));
  code.if_equal(SIGKILL, 1);
  code.answer(refuse(EPERM));
  code.answer(SECCOMP_RET_ALLOW);
  // Limits: of itself only, and its brand (orphans.h) stays.
  code.unless_equal(SYS_setrlimit, 4);
  code.load(argument(0));
  code.unless_equal(RLIMIT_RSS, 1);
  code.answer(refuse(EPERM));
  code.answer(SECCOMP_RET_ALLOW);
  code.unless_equal(SYS_prlimit64, 11);
  code.load(argument(2));  // the new limits, or null: who only looks may
  code.unless_equal(0, 3);
  code.load(argument(2) + 4);
  code.unless_equal(0, 1);
  code.answer(SECCOMP_RET_ALLOW);
  code.load(argument(0));
  code.unless_equal(0, 3);
  code.load(argument(1));
  code.if_equal(RLIMIT_RSS, 1);
  code.answer(SECCOMP_RET_ALLOW);
  code.answer(refuse(EPERM));
  code.answer(SECCOMP_RET_ALLOW);
  return code.take();
}

bool install_system_call_filter(const std::vector<sock_filter>& filter) {
  sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, allow_speculation, &program) == 0;
}

bool has_system_call_filters() {
  std::uint32_t action = SECCOMP_RET_ERRNO;
  return own_architecture != 0 && syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

}  // namespace weft::worker
