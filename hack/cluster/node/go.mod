module tokenward/hack/cluster/node

go 1.26.0
