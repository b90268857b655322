module tokenward/hack/cluster/pause

go 1.26.0
