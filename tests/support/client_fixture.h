// A client of a scheduler that the test plays.
#pragma once

#include <doctest/doctest.h>

#include <memory>

#include <weft/weft.h>

#include "tests/support/fake_scheduler.h"

namespace weft::test {

struct Fixture {
  std::shared_ptr<FakeScheduler> fake = std::make_shared<FakeScheduler>();
  Client client{links_to(fake)};
};

}  // namespace weft::test
