// The times of a job: of the network's evaluations, and vesde's updates between them.

#ifndef TIMING_HPP
#define TIMING_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <vector>

class Timing {
public:
    // Both do the work, and note how long it takes.
    template <typename Work>
    void network(Work work) {
        add(in_network, work);
    }

    template <typename Work>
    void vesde(Work work) {
        add(in_vesde, work);
    }

    // The medians.
    void print() {
        const double theirs = median(in_network), ours = median(in_vesde);
        std::printf("the network takes %.3f ms, vesde %.3f ms: %.2f %%\n", theirs, ours,
                    100.0 * ours / (ours + theirs));
    }

private:
    std::vector<double> in_network, in_vesde; // milliseconds

    template <typename Work>
    static void add(std::vector<double> &times, Work work) {
        using clock = std::chrono::steady_clock;
        const auto start = clock::now();
        work();
        times.push_back(std::chrono::duration<double, std::milli>(clock::now() - start).count());
    }

    static double median(std::vector<double> &values) {
        const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
        std::nth_element(values.begin(), middle, values.end());
        return *middle;
    }
};

#endif
