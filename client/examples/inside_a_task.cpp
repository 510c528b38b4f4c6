// Inside a task: log, keep a thing between tasks, and run tasks of one's own.
#include <iostream>

#include <weft/weft.h>

struct Model {
  int weight = 0;
};

// A task that needs tasks: its slot is lent to others while it waits.
long fib(long n) {
  if (n < 2) return n;
  weft::Client client = weft::this_task().client();
  auto a = client.submit(fib, n - 1);
  auto b = client.submit(fib, n - 2);
  return a.result() + b.result();
}

int predict(int x) {
  weft::ThisTask task = weft::this_task();
  const Model& model = task.worker_local<Model>([] { return Model{10}; });   // built once in each process, not for each task
  task.log("predicted " + std::to_string(x));                                // `weft logs` shows it, with this task's key
  return model.weight * x;
}

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;
  std::cout << client.submit(fib, 12L).result() << "\n";
  for (int value : client.gather(client.map(predict, std::vector{1, 2, 3}))) std::cout << value << "\n";
}
