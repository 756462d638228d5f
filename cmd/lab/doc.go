// Package lab tests the Ansible collection on real hosts: systemd as process 1,
// several Debian releases side by side, a network of their own. "make ansible"
// runs it; it needs root, namespaces and, for the first time, the network.
//
// It owns the hosts (lab.sh) and what is asked of the playbooks. It must not
// know how the roles do it: a test says what a host looks like before and after.
//
// # Why an overlay is the judge
//
// Each host lies on an overlay, so its upper directory lists all that was
// written there. A run that says "changed=0" and has written nevertheless is
// found, and so is a check run that touches a host.
package lab
