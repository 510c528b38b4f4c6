// Scatter: data that many tasks need goes to the workers once, and tasks run where it is.
#include <algorithm>
#include <iostream>
#include <numeric>

#include <weft/weft.h>

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
long above(const std::vector<double>& values, double limit) {
  return std::count_if(values.begin(), values.end(), [=](double value) { return value > limit; });
}

int main(int argc, char** argv) {
  weft::init(argc, argv);
  weft::Client client;

  std::vector<double> values(1'000'000);
  std::iota(values.begin(), values.end(), 0.0);
  auto data = client.scatter(values);                              // {.replicas = 2} would survive the loss of a worker
  std::cout << client.submit(mean, data).result() << "\n";
  for (long count : client.gather(client.map(above, data, std::vector{1e5, 5e5, 9e5}))) std::cout << count << "\n";

  client.publish("values", data);                                  // another program finds it by name, while the cluster lives
  auto found = client.get_dataset<std::vector<double>>("values");
  std::cout << found[0].view()->size() << "\n";                    // looked at where it lies, not copied
}
