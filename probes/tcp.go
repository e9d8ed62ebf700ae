package probes

import "context"

// probeTCP asks only whether something accepts connections.
func probeTCP(ctx context.Context, a *attempt) error {
	conn, err := a.connect(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}
