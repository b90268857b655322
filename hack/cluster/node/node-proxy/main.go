// Connects a node, which has a network namespace of its own, with the control plane outside of it.
//
//	node-proxy NAMESPACE DIRECTION,LISTEN,CONNECT...
//
// out,10.96.0.1:443,127.0.0.1:6443 listens inside and connects to what is outside; with `in` it is the
// other way round. Addresses are numbers: no name is looked up.
package main

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	if len(os.Args) < 3 {
		log.Fatal("usage: node-proxy NAMESPACE DIRECTION,LISTEN,CONNECT...")
	}
	namespace, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	inside := func(act func() error) error { return within(namespace, act) }
	outside := func(act func() error) error { return act() }
	for _, argument := range os.Args[2:] {
		way := strings.Split(argument, ",")
		if len(way) != 3 || way[0] != "in" && way[0] != "out" {
			log.Fatalf("%s: expected DIRECTION,LISTEN,CONNECT", argument)
		}
		here, there := inside, outside
		if way[0] == "in" {
			here, there = outside, inside
		}
		var listener net.Listener
		if err := here(func() (err error) { listener, err = net.Listen("tcp", way[1]); return }); err != nil {
			log.Fatal(err)
		}
		go serve(listener, func() (connection net.Conn, err error) {
			err = there(func() (err error) { connection, err = net.DialTimeout("tcp", way[2], 5*time.Second); return })
			return
		})
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
}

// A socket belongs to the namespace of the thread that makes it, for good. The thread is not used
// again: it ends with a goroutine that stays locked to it.
func within(namespace *os.File, act func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := syscall.RawSyscall(setns, namespace.Fd(), syscall.CLONE_NEWNET, 0); errno != 0 {
			done <- errno
			return
		}
		done <- act()
	}()
	return <-done
}

func serve(listener net.Listener, dial func() (net.Conn, error)) {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go func() {
			defer connection.Close()
			other, err := dial()
			if err != nil {
				log.Print(err)
				return
			}
			defer other.Close()
			join(connection.(*net.TCPConn), other.(*net.TCPConn))
		}()
	}
}

// The end of one direction is passed on; the other may have more to say.
func join(one, two *net.TCPConn) {
	done := make(chan struct{}, 2)
	pass := func(from, to *net.TCPConn) {
		io.Copy(to, from)
		to.CloseWrite()
		done <- struct{}{}
	}
	go pass(one, two)
	go pass(two, one)
	<-done
	<-done
}
