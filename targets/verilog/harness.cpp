// The world outside a circuit in simulation: clock, reset, start, and a memory behind its port. It moves bytes only.
//
// A request is accepted in cycle t where valid and ready are both high at the clock edge that ends t. The word of a
// read accepted in cycle t is on the response port in cycle t + latency; answers keep the order of their requests.
// Writes are done at once and not answered. With a stall seed, ready drops and answers come late, at random.

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>

namespace hapir {

struct Settings {
    uint64_t latency;
    uint64_t max_cycles;
    uint64_t stall_seed;  // 0: no stalls
    uint64_t start_seed;  // 0: everything that is not reset starts as 0
};

enum Status : uint64_t { FINISHED = 0, TIMEOUT = 1, OUTSIDE = 2 };

struct Outcome {
    uint64_t status;
    uint64_t cycles;      // from the cycle after start to the first one with done
    uint64_t cycle_count; // the circuit's own count when done rose
    uint64_t reads;
    uint64_t writes;
    uint64_t boundaries;  // how many cycles began a layer, done included; they are stored apart
    uint64_t address;     // of the request that left the memory
};

class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull | 1) {}
    uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ >> 16;
    }

  private:
    uint64_t state_;
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are copied as bytes");

template <class Port> void put(Port& port, const uint8_t* bytes, size_t count) {
    Port value = 0;
    std::memcpy(&value, bytes, count);
    port = value;
}

template <std::size_t Words> void put(VlWide<Words>& port, const uint8_t* bytes, size_t count) {
    port.m_storage[Words - 1] = 0;
    std::memcpy(port.m_storage, bytes, count);
}

template <class Port> void get(const Port& port, uint8_t* bytes, size_t count) { std::memcpy(bytes, &port, count); }

template <std::size_t Words> void get(const VlWide<Words>& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, port.m_storage, count);
}

class Circuit {
  public:
    virtual ~Circuit() = default;
    virtual void run(const Settings& settings, uint8_t* memory, uint64_t bytes, Outcome& outcome,
                     uint64_t* boundaries, uint64_t capacity) = 0;
};

template <class Model, size_t WORD> class Simulated final : public Circuit {
  public:
    explicit Simulated(const Settings& settings) : context_(new VerilatedContext) {
        context_->randReset(settings.start_seed ? 2 : 0);
        context_->randSeed(static_cast<int>(settings.start_seed & 0x7fffffff));
        model_.reset(new Model(context_.get()));
    }

    void run(const Settings& settings, uint8_t* memory, uint64_t bytes, Outcome& outcome, uint64_t* boundaries,
             uint64_t capacity) override {
        Model& m = *model_;
        Random random(settings.stall_seed);
        std::deque<Answer> answers;
        const uint64_t words = bytes / WORD;
        outcome = Outcome{};
        m.start = 0;
        m.mem_rsp_valid = 0;
        m.mem_req_ready = 0;
        m.rst = 1;
        for (int n = 0; n < 2; ++n) {
            settle();
            edge();
        }
        m.rst = 0;
        m.start = 1;
        settle();
        edge();
        m.start = 0;
        uint64_t last_due = 0;
        for (uint64_t cycle = 0; cycle < settings.max_cycles; ++cycle) {
            const bool answered = !answers.empty() && answers.front().due <= cycle;
            m.mem_rsp_valid = answered;
            if (answered) {
                put(m.mem_rsp_data, answers.front().word, WORD);
                answers.pop_front();
            } else if (settings.stall_seed) {
                uint8_t noise[WORD];
                for (auto& byte : noise) byte = static_cast<uint8_t>(random.next());
                put(m.mem_rsp_data, noise, WORD);
            }
            m.mem_req_ready = !settings.stall_seed || random.next() % 4 != 0;
            settle();
            if (m.layer_fetch) mark(cycle, outcome, boundaries, capacity);
            if (m.mem_req_valid && m.mem_req_ready) {
                const uint64_t address = m.mem_req_addr;
                if (address >= words) {
                    outcome.status = OUTSIDE;
                    outcome.address = address;
                    outcome.cycles = cycle;
                    return;
                }
                uint8_t* word = memory + address * WORD;
                if (m.mem_req_write) {
                    get(m.mem_req_wdata, word, WORD);
                    ++outcome.writes;
                } else {
                    Answer answer;
                    answer.due = cycle + settings.latency + (settings.stall_seed ? random.next() % 6 : 0);
                    if (answer.due <= last_due) answer.due = last_due + 1;
                    last_due = answer.due;
                    std::memcpy(answer.word, word, WORD);
                    answers.push_back(answer);
                    ++outcome.reads;
                }
            }
            if (m.done) {
                if (!m.layer_fetch) mark(cycle, outcome, boundaries, capacity);
                outcome.cycles = cycle;
                outcome.cycle_count = m.cycle_count;
                outcome.status = FINISHED;
                return;
            }
            edge();
        }
        outcome.status = TIMEOUT;
        outcome.cycles = settings.max_cycles;
    }

  private:
    struct Answer {
        uint64_t due;
        uint8_t word[WORD];
    };

    static void mark(uint64_t cycle, Outcome& outcome, uint64_t* boundaries, uint64_t capacity) {
        if (outcome.boundaries < capacity) boundaries[outcome.boundaries] = cycle;
        ++outcome.boundaries;
    }

    // inputs of the new cycle reach the outputs; without it between two edges the clock would not fall
    void settle() {
        model_->clk = 0;
        model_->eval();
    }

    void edge() {
        model_->clk = 1;
        model_->eval();
    }

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Model> model_;
};

Circuit* make(uint64_t design, const Settings& settings);

}  // namespace hapir

// Run `images` images on one circuit, each from a copy of `base`: put its input, run, take its output.
// `work` holds `bytes` bytes and is the memory after the last image. Stops at the first image that does not finish.
extern "C" __attribute__((visibility("default"))) void hapir_run(
    uint64_t design, const hapir::Settings* settings, const uint8_t* base, uint8_t* work, uint64_t bytes,
    uint64_t images, const uint8_t* inputs, uint64_t input_bytes, uint64_t input_offset, uint8_t* outputs,
    uint64_t output_bytes, uint64_t output_offset, hapir::Outcome* outcomes, uint64_t* boundaries, uint64_t capacity) {
    std::unique_ptr<hapir::Circuit> circuit(hapir::make(design, *settings));
    for (uint64_t n = 0; n < images; ++n) {
        std::memcpy(work, base, bytes);
        if (input_bytes) std::memcpy(work + input_offset, inputs + n * input_bytes, input_bytes);
        circuit->run(*settings, work, bytes, outcomes[n], boundaries + n * capacity, capacity);
        if (outcomes[n].status != hapir::FINISHED) return;
        if (output_bytes) std::memcpy(outputs + n * output_bytes, work + output_offset, output_bytes);
    }
}
