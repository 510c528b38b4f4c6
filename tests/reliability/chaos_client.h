// One client of the chaos run, as a process of its own: it submits graph after graph and compares every result with what it
// computed itself.
#pragma once

#include <string>
#include <vector>

namespace weft::reliability {

/// ADDRESS SEED FOLDER. Ends when FOLDER/stop exists and its last graph is done; writes a line for each graph into
/// FOLDER/client-SEED. Exit code 0 if every result was right, or a failure that the faults of the run explain.
int chaos_client(const std::vector<std::string>& words);

}  // namespace weft::reliability
