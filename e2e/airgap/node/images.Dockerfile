# What kubeadm knows as seven images, as three with the same layers: `worker` is what runs on every node, and
# `control-plane` adds the rest. A pod's own command says which program it means, but CoreDNS's has none.
FROM scratch AS worker
COPY root /
COPY programs/kube-proxy programs/kube-router programs/coredns programs/pause /usr/local/bin/
ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin
# The sandbox of a pod is the other container that has no command.
ENTRYPOINT ["/usr/local/bin/pause"]

FROM worker AS dns
ENTRYPOINT ["/usr/local/bin/coredns"]

FROM worker AS control-plane
COPY programs/kube-apiserver programs/kube-controller-manager programs/kube-scheduler programs/etcd /usr/local/bin/
