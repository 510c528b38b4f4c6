// Everything a program that uses Weft needs.
#pragma once

#include <weft/client.h>
#include <weft/delayed.h>
#include <weft/error.h>
#include <weft/future.h>
#include <weft/init.h>
#include <weft/local_cluster.h>
#include <weft/options.h>
#include <weft/progress.h>
#include <weft/this_task.h>
#include <weft/version.h>
#include <weft/wait.h>
