# What there is to do, one line each. CONTRIBUTING.md says when. Nothing here is needed to use the
# program: go build ./cmd/voucherwatch is enough.
FUZZTIME ?= 10s
SEEDS ?= 1,2,3,4,5
RACE = ./detectors/... ./stream/... ./cases/... ./alerts/... ./credit/... ./internal/app/... ./cmd/...
SCALE ?= 1

.PHONY: build test race fuzz golden evaluate bench bench-kafka services services-kafka integration bench-cases fmt lint vuln gate check
build:  ; CGO_ENABLED=0 go build -trimpath -o bin/voucherwatch ./cmd/voucherwatch
test:   ; go test ./...
race:   ; go test -race $(RACE)
fuzz:   ; @for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$p || exit 1; done; done
golden: ; go test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update
evaluate: ; go test ./evaluate -run '^TestQuality$$' -update && mkdir -p bin && go run ./cmd/voucherwatch evaluate --seeds $(SEEDS) --json bin/evaluation.json --html bin/evaluation.html --markdown bin/evaluation.md
bench:  ; go test -run - -bench . -benchmem ./...
bench-kafka: ; go test -tags integration ./internal/app -run - -bench '^BenchmarkKafka$$' -benchtime 1x
services: ; go run ./cmd/services elasticsearch
services-kafka: ; go run ./cmd/services kafka
integration: ; CI=true go run ./internal/citest -p 1 -tags integration -timeout 30m ./cases/elastic ./test/kafkanode ./stream/kafka ./internal/app
bench-cases: ; go run ./cmd/benchcases --alerts $$((1000000 / $(SCALE))) --cases $$((100000 / $(SCALE)))
fmt:    ; gofmt -w .
lint:   ; @test -z "$$(gofmt -l .)" || { gofmt -l . | sed 's/^/gofmt: /'; exit 1; }; go vet ./... && go tool staticcheck ./...
vuln:   ; @out=$$(go tool govulncheck ./... 2>&1); code=$$?; echo "$$out"; case "$$out" in *"fetching vulnerabilities"*) echo "vuln: NOT CHECKED, the vulnerability database cannot be reached from here";; *) exit $$code;; esac
gate:   ; .ci/run && go mod verify
check:  gate race vuln
