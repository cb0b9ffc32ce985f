package e2e

import "syscall"

// dieWithParent leaves no process behind where the test is killed.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
