// The common part of the programs here: ggml's CPU backend, the weights in a GGUF file, and a graph
// with its memory.

#ifndef ENGINE_HPP
#define ENGINE_HPP

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "ggml-cpp.h"
#include "ggml-cpu.h"
#include "host.h"

// The CPU backend with threads that outlive a graph.
struct Engine {
    struct FreeThreadpool {
        void operator()(ggml_threadpool *threadpool) { ggml_threadpool_free(threadpool); }
    };
    ggml_backend_ptr backend{ggml_backend_cpu_init()};
    std::unique_ptr<ggml_threadpool, FreeThreadpool> threads;

    explicit Engine(int count) {
        ggml_threadpool_params params = ggml_threadpool_params_default(count);
        threads.reset(ggml_threadpool_new(&params));
        if (!backend || !threads)
            fail("ggml", "cannot start");
        ggml_backend_cpu_set_n_threads(backend.get(), count);
        ggml_backend_cpu_set_threadpool(backend.get(), threads.get());
    }
};

// The tensors of a GGUF file, in the backend's memory.
class Weights {
public:
    Weights(const char *path, const Engine &engine) {
        ggml_context *context = nullptr;
        file.reset(gguf_init_from_file(path, {/*no_alloc=*/true, &context}));
        tensors.reset(context);
        if (!file)
            fail(path, "is not a GGUF file");
        memory.reset(ggml_backend_alloc_ctx_tensors(context, engine.backend.get()));
        std::FILE *bytes = ggml_fopen(path, "rb");
        for (int64_t i = 0; i < gguf_get_n_tensors(file.get()); i++) {
            ggml_tensor *tensor = ggml_get_tensor(context, gguf_get_tensor_name(file.get(), i));
            const size_t at =
                gguf_get_data_offset(file.get()) + gguf_get_tensor_offset(file.get(), i);
            // The CPU backend's tensors lie in the program's own memory.
            if (!bytes || std::fseek(bytes, static_cast<long>(at), SEEK_SET) != 0
                || std::fread(tensor->data, 1, ggml_nbytes(tensor), bytes) != ggml_nbytes(tensor))
                fail(path, "cannot be read");
        }
        std::fclose(bytes);
    }

    bool has(const std::string &name) const {
        return ggml_get_tensor(tensors.get(), name.c_str()) != nullptr;
    }

    ggml_tensor *find(const std::string &name) const {
        ggml_tensor *tensor = ggml_get_tensor(tensors.get(), name.c_str());
        if (!tensor || tensor->type != GGML_TYPE_F32)
            fail(name.c_str(), "is not in the file as F32");
        return tensor;
    }

    // A string of the file's metadata.
    const char *text(const char *name) const {
        const int64_t key = gguf_find_key(file.get(), name);
        if (key < 0 || gguf_get_kv_type(file.get(), key) != GGUF_TYPE_STRING)
            fail(name, "is not in the file as a text");
        return gguf_get_val_str(file.get(), key);
    }

private:
    gguf_context_ptr file;
    ggml_context_ptr tensors;
    ggml_backend_buffer_ptr memory;
};

inline float *floats(const ggml_tensor *tensor) { return static_cast<float *>(tensor->data); }

// A graph, and inputs whose memory stays the same from run to run.
class Graph {
public:
    const Engine &engine;
    ggml_context_ptr inputs{
        ggml_init({MOST_INPUTS * ggml_tensor_overhead(), nullptr, /*no_alloc=*/true})};
    ggml_context_ptr nodes;

    explicit Graph(const Engine &engine) : engine(engine) {
        const size_t room =
            GGML_DEFAULT_GRAPH_SIZE * ggml_tensor_overhead() + ggml_graph_overhead();
        nodes.reset(ggml_init({room, nullptr, /*no_alloc=*/true}));
        graph = ggml_new_graph(nodes.get());
        allocator.reset(
            ggml_gallocr_new(ggml_backend_get_default_buffer_type(engine.backend.get())));
    }

    // Gives the inputs their memory, once all are made.
    void allocate_inputs() {
        memory.reset(ggml_backend_alloc_ctx_tensors(inputs.get(), engine.backend.get()));
    }

    void allocate(ggml_tensor *result) {
        ggml_set_output(result);
        ggml_build_forward_expand(graph, result);
        if (!ggml_gallocr_alloc_graph(allocator.get(), graph))
            fail("memory", "there is not enough");
    }

    bool compute() const {
        return ggml_backend_graph_compute(engine.backend.get(), graph) == GGML_STATUS_SUCCESS;
    }

private:
    static constexpr size_t MOST_INPUTS = 8;
    ggml_backend_buffer_ptr memory;
    ggml_gallocr_ptr allocator;
    ggml_cgraph *graph;
};

#endif
