#include "forbidden_acts.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>

#include "common/credentials.h"

namespace weft::test {
namespace {

bool opens(const std::string& path, int flags) {
  int file = open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
  return file >= 0;
}
bool reads(const std::string& path) {
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char byte;
  bool got = file >= 0 && read(file, &byte, 1) == 1;
  if (file >= 0) close(file);
  return got;
}
bool writes(const std::string& path) { return opens(path, O_WRONLY | O_CREAT); }
std::string process(const Target& t, const char* file) { return "/proc/" + std::to_string(t.worker) + '/' + file; }
template <class... Arguments>
bool calls(long number, Arguments... arguments) {
  errno = 0;
  return syscall(number, arguments...) >= 0;
}
/// For calls that we do not really want: past the filter is through, whatever the kernel then says.
template <class... Arguments>
bool reaches_kernel(long number, Arguments... arguments) {
  return calls(number, arguments...) || (errno != EPERM && errno != EACCES);
}
/// In a child, which then ends.
bool in_a_child(const std::function<bool()>& act) {
  pid_t child = fork();
  if (child == 0) _exit(act() ? 0 : errno ? errno : 1);
  int status = 0;
  waitpid(child, &status, 0);
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : ECANCELED;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
bool any_descriptor_opens(const Target& t) {
  DIR* all = opendir(process(t, "fd").c_str());
  if (!all) return false;
  bool got = false;
  while (dirent* entry = readdir(all))
    if (entry->d_name[0] != '.') got |= opens(process(t, "fd/") + entry->d_name, O_RDONLY | O_NONBLOCK);
  closedir(all);
  return got;
}
bool opens_by_handle(const Target& t) {
  struct {
    file_handle head;
    unsigned char room[128];
  } handle{};
  handle.head.handle_bytes = sizeof handle.room;
  int mount = 0;
  if (name_to_handle_at(AT_FDCWD, (t.keys + "/worker.key").c_str(), &handle.head, &mount, 0) != 0) return false;
  int place = open(t.keys.c_str(), O_PATH | O_DIRECTORY);
  return open_by_handle_at(place, &handle.head, O_RDONLY) >= 0;
}
bool reaches_abstract_socket(const Target& t) {
  int end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX};
  std::memcpy(address.sun_path + 1, t.socket.data(), t.socket.size());
  bool got = connect(end, reinterpret_cast<sockaddr*>(&address), socklen_t(offsetof(sockaddr_un, sun_path) + 1 + t.socket.size())) == 0;
  close(end);
  return got;
}
bool raises(__rlimit_resource_t resource) {
  rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  return setrlimit(resource, &limit) == 0;
}

struct Act {
  const char* name;
  bool (*run)(const Target&);
};

// The worker's keys.
const Act on_keys[] = {
    {"read the worker's key", [](const Target& t) { return reads(t.keys + "/worker.key"); }},
    {"read the client's key", [](const Target& t) { return reads(t.keys + "/client.key"); }},
    {"read the scheduler's key", [](const Target& t) { return reads(t.keys + "/scheduler.key"); }},
    {"read a key by way of /proc/self/root", [](const Target& t) { return reads("/proc/self/root" + t.keys + "/worker.key"); }},
    {"read a key by way of the worker's root", [](const Target& t) { return reads(process(t, "root") + t.keys + "/worker.key"); }},
    {"read a key through a link", [](const Target& t) { return symlink((t.keys + "/worker.key").c_str(), "link") == 0 && reads("link"); }},
    {"give a key a second name", [](const Target& t) { return link((t.keys + "/worker.key").c_str(), "second") == 0; }},
    {"move a key here", [](const Target& t) { return rename((t.keys + "/worker.key").c_str(), "moved") == 0; }},
    {"move the key folder away", [](const Target& t) { return rename(t.keys.c_str(), (t.keys + "-2").c_str()) == 0; }},
    {"read a key from its folder's descriptor", [](const Target& t) {
       int folder = open(t.keys.c_str(), O_PATH | O_DIRECTORY);
       return openat(folder, "worker.key", O_RDONLY) >= 0;
     }},
    {"let cat read a key", [](const Target& t) { return in_a_child([&] {
       if (!freopen("/dev/null", "w", stderr)) return false;
       return std::system(("cat " + t.keys + "/worker.key > /dev/null").c_str()) == 0;
     }); }},
    {"open a key by its handle", opens_by_handle},
    {"add a key to the list", [](const Target& t) { return opens(t.keys + "/authorized_keys", O_WRONLY | O_APPEND); }},
    {"remove a key", [](const Target& t) { return unlink((t.keys + "/client.key").c_str()) == 0; }},
    {"put a key there", [](const Target& t) { return writes(t.keys + "/new.key"); }},
    {"connect as a worker", [](const Target& t) { return bool(find_worker_credentials(t.scheduler)); }},
};
// The worker and its keeper.
const Act on_worker[] = {
    {"trace the worker", [](const Target& t) { return calls(SYS_ptrace, PTRACE_ATTACH, t.worker, 0, 0); }},
    {"seize the worker", [](const Target& t) { return calls(SYS_ptrace, PTRACE_SEIZE, t.worker, 0, 0); }},
    {"read the worker's memory", [](const Target& t) {
       char byte;
       iovec here{&byte, 1}, there{reinterpret_cast<void*>(0x400000), 1};
       return reaches_kernel(SYS_process_vm_readv, t.worker, &here, 1, &there, 1, 0);
     }},
    {"write the worker's memory", [](const Target& t) {
       char byte = 0;
       iovec here{&byte, 1}, there{reinterpret_cast<void*>(0x400000), 1};
       return reaches_kernel(SYS_process_vm_writev, t.worker, &here, 1, &there, 1, 0);
     }},
    {"open the worker's memory", [](const Target& t) { return opens(process(t, "mem"), O_RDWR); }},
    {"read the worker's environment", [](const Target& t) { return reads(process(t, "environ")); }},
    {"read the worker's map", [](const Target& t) { return reads(process(t, "maps")); }},
    {"open the worker's descriptors", any_descriptor_opens},
    {"take a descriptor from the worker", [](const Target& t) {
       int worker = int(syscall(434 /* pidfd_open */, t.worker, 0));
       return calls(438 /* pidfd_getfd */, worker, 1, 0);
     }},
    {"signal the worker", [](const Target& t) { return kill(t.worker, SIGCONT) == 0; }},
    {"signal the worker by its descriptor", [](const Target& t) {
       int worker = int(syscall(434 /* pidfd_open */, t.worker, 0));
       return calls(424 /* pidfd_send_signal */, worker, SIGCONT, nullptr, 0);
     }},
    {"signal the keeper", [](const Target& t) { return kill(t.keeper, SIGCONT) == 0; }},
    {"limit the worker", [](const Target& t) {
       rlimit low{64, 64};
       return prlimit(t.worker, RLIMIT_NOFILE, &low, nullptr) == 0;
     }},
    {"live on when the worker dies", [](const Target&) { return prctl(PR_SET_PDEATHSIG, 0) == 0; }},
    {"take off the brand", [](const Target&) {
       rlimit low{1 << 20, 1 << 20};
       return setrlimit(RLIMIT_RSS, &low) == 0 || prlimit(0, RLIMIT_RSS, &low, nullptr) == 0;
     }},
    {"raise the memory limit", [](const Target&) { return raises(RLIMIT_DATA); }},
    {"reach an abstract socket of another process", reaches_abstract_socket},
};
// Files.
const Act on_files[] = {
    {"make a file in our user's home", [](const Target& t) { return writes(t.home + "/made"); }},
    {"write a file in our user's home", [](const Target& t) { return opens(t.file, O_WRONLY); }},
    {"cut a file in our user's home", [](const Target& t) { return truncate(t.file.c_str(), 0) == 0; }},
    {"remove a file in our user's home", [](const Target& t) { return unlink(t.file.c_str()) == 0; }},
    {"make a folder in our user's home", [](const Target& t) { return mkdir((t.home + "/folder").c_str(), 0700) == 0; }},
    {"make a link in our user's home", [](const Target& t) { return symlink("/", (t.home + "/to-root").c_str()) == 0; }},
    {"make a socket in our user's home", [](const Target& t) { return mknod((t.home + "/socket").c_str(), S_IFSOCK | 0600, 0) == 0; }},
    {"make a file in /tmp", [](const Target&) { return writes("/tmp/weft-forbidden"); }},
    {"make a file in /dev/shm", [](const Target&) { return writes("/dev/shm/weft-forbidden"); }},
    {"change a program that the worker keeps", [](const Target& t) { return writes(t.local + "/programs") || writes(t.local + "/programs/x"); }},
    {"write where the worker spills", [](const Target& t) { return writes(t.local + "/spilled"); }},
    {"write its own program", [](const Target&) { return opens("/proc/self/exe", O_WRONLY); }},
    {"make a device", [](const Target&) { return mknod("device", S_IFCHR | 0600, makedev(1, 3)) == 0; }},
    {"open the terminal", [](const Target&) { return opens("/dev/tty", O_RDWR); }},
};
// The machine.
const Act on_machine[] = {
    {"mount a file system", [](const Target&) { return mkdir("place", 0700) == 0 && mount("none", "place", "tmpfs", 0, nullptr) == 0; }},
    {"bind the key folder here", [](const Target& t) { return mkdir("bound", 0700) == 0 && mount(t.keys.c_str(), "bound", nullptr, MS_BIND, nullptr) == 0; }},
    {"take a tree by the new calls", [](const Target& t) { return reaches_kernel(428 /* open_tree */, AT_FDCWD, t.keys.c_str(), 1); }},
    {"make a mount namespace", [](const Target&) { return in_a_child([] { return unshare(CLONE_NEWNS) == 0; }); }},
    {"make a user namespace", [](const Target&) { return in_a_child([] { return unshare(CLONE_NEWUSER) == 0; }); }},
    {"clone into a user namespace", [](const Target&) { return calls(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }},
    {"clone3 into a user namespace", [](const Target&) {
       clone_args arguments{.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
       return calls(435 /* clone3 */, &arguments, sizeof arguments);
     }},
    {"enter the worker's namespaces", [](const Target& t) { return setns(open(process(t, "ns/mnt").c_str(), O_RDONLY), 0) == 0; }},
    {"change its root", [](const Target&) { return in_a_child([] { return chroot(".") == 0; }); }},
    {"load a kernel module", [](const Target&) { return reaches_kernel(SYS_init_module, nullptr, 0, ""); }},
    {"load a kernel program", [](const Target&) { return reaches_kernel(SYS_bpf, 0, nullptr, 0); }},
    {"handle page faults", [](const Target&) { return reaches_kernel(SYS_userfaultfd, 0); }},
    {"make an io_uring", [](const Target&) { return reaches_kernel(425 /* io_uring_setup */, 1, nullptr); }},
    {"use kernel keys", [](const Target&) { return reaches_kernel(SYS_keyctl, 0, -3, 0, 0, 0); }},
    {"restart the machine", [](const Target&) { return reaches_kernel(SYS_reboot, 0, 0, 0, nullptr); }},
    {"name the machine", [](const Target&) { return reaches_kernel(SYS_sethostname, "x", 1000); }},
    {"set the clock", [](const Target&) { return reaches_kernel(SYS_clock_settime, 0, nullptr); }},
    {"write a kernel setting", [](const Target&) { return opens("/proc/sys/kernel/core_pattern", O_WRONLY); }},
    {"press the magic key", [](const Target&) { return opens("/proc/sysrq-trigger", O_WRONLY); }},
    {"become another user", [](const Target&) { return in_a_child([] { return setuid(65'533) == 0; }); }},
#if defined(__x86_64__)
    {"use the calls of 32-bit programs", [](const Target&) { return in_a_child([] {
       long answer = 20;  // getpid there
       asm volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
       errno = answer < 0 ? static_cast<int>(-answer) : 0;
       return answer > 0;
     }); }},
#endif
};

}  // namespace

std::size_t count_of_acts() { return std::size(on_keys) + std::size(on_worker) + std::size(on_files) + std::size(on_machine); }

std::string try_act(std::uint64_t number, const Target& target) {
  const Act* act = nullptr;
  auto look = [&](auto& acts) {
    if (!act && number < std::size(acts)) act = &acts[number];
    number -= std::size(acts);
  };
  look(on_keys), look(on_worker), look(on_files), look(on_machine);
  errno = 0;
  bool through = act->run(target);
  return std::string(act->name) + (through ? ": GOT THROUGH" : ": refused (" + std::string(std::strerror(errno)) + ")");
}

}  // namespace weft::test
