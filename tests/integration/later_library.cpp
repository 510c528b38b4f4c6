// A library that a program opens while it runs.
extern "C" int add_seven(int x) { return x + 7; }
